CREATE TABLE {users_migrations} (
	version INTEGER NOT NULL,
	step INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	done_at INTEGER,
	CONSTRAINT {#users_migrations_pk} PRIMARY KEY (version, step)
) WITHOUT ROWID;
-- down: DROP TABLE {users_migrations}

CREATE TABLE {applications} (
	id TEXT NOT NULL,
	api_key TEXT NOT NULL,
	name TEXT NOT NULL,
	disabled INTEGER NOT NULL,
	require_approval INTEGER NOT NULL,
	date_created INTEGER NOT NULL,
	version INTEGER NOT NULL,
	CONSTRAINT {#applications_pk} PRIMARY KEY (id),
	CONSTRAINT {#applications_api_key} UNIQUE (api_key)
);
-- down: DROP TABLE {applications}

CREATE TABLE {roles} (
	application_id TEXT NOT NULL,
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	name_key TEXT NOT NULL,
	description TEXT NOT NULL,
	date_created INTEGER NOT NULL,
	date_updated INTEGER NOT NULL,
	CONSTRAINT {#roles_pk} PRIMARY KEY (application_id, id),
	CONSTRAINT {#roles_name} UNIQUE (application_id, name_key)
);
-- down: DROP TABLE {roles}

CREATE TABLE {users} (
	application_id TEXT NOT NULL,
	id TEXT NOT NULL,
	user_name TEXT NOT NULL,
	name_key TEXT NOT NULL,
	email TEXT NOT NULL,
	email_key TEXT NOT NULL,
	key_version INTEGER NOT NULL,
	display_name TEXT NOT NULL,
	display_key TEXT NOT NULL,
	credential TEXT,
	is_approved INTEGER NOT NULL,
	is_locked_out INTEGER NOT NULL,
	dashboard_access INTEGER NOT NULL,
	dashboard_settings TEXT,
	created_by TEXT NOT NULL,
	creation_date INTEGER NOT NULL,
	date_created INTEGER NOT NULL,
	date_updated INTEGER NOT NULL,
	failures INTEGER NOT NULL,
	locked_until INTEGER NOT NULL,
	last_login INTEGER NOT NULL,
	email_verified INTEGER NOT NULL,
	password_changed INTEGER NOT NULL,
	version INTEGER NOT NULL,
	CONSTRAINT {#users_pk} PRIMARY KEY (application_id, id),
	CONSTRAINT {#users_name} UNIQUE (application_id, name_key),
	CONSTRAINT {#users_email} UNIQUE (application_id, email_key)
);
-- down: DROP TABLE {users}

CREATE INDEX {%users_created} ON {#users} (application_id, date_created, id);
-- down: DROP INDEX {%users_created}

CREATE INDEX {%users_standing} ON {#users} (application_id, id) WHERE NOT is_approved OR is_locked_out;
-- down: DROP INDEX {%users_standing}

CREATE TABLE {user_roles} (
	application_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	role_id TEXT NOT NULL,
	CONSTRAINT {#user_roles_pk} PRIMARY KEY (application_id, user_id, role_id)
) WITHOUT ROWID;
-- down: DROP TABLE {user_roles}

CREATE INDEX {%user_roles_role} ON {#user_roles} (application_id, role_id, user_id);
-- down: DROP INDEX {%user_roles_role}

CREATE TABLE {deleted_roles} (
	application_id TEXT NOT NULL,
	role_id TEXT NOT NULL,
	CONSTRAINT {#deleted_roles_pk} PRIMARY KEY (application_id, role_id)
) WITHOUT ROWID;
-- down: DROP TABLE {deleted_roles}

CREATE TABLE {notifications} (
	application_id TEXT NOT NULL,
	id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	state TEXT NOT NULL,
	pending INTEGER,
	urgent INTEGER NOT NULL,
	due_at INTEGER NOT NULL,
	lease_until INTEGER NOT NULL,
	lease_owner TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	last_error TEXT NOT NULL,
	date_created INTEGER NOT NULL,
	CONSTRAINT {#notifications_pk} PRIMARY KEY (application_id, id),
	CONSTRAINT {#notifications_pending} UNIQUE (application_id, user_id, kind, pending)
);
-- down: DROP TABLE {notifications}

CREATE INDEX {%notifications_due} ON {#notifications} (state, application_id, urgent, due_at, id);
-- down: DROP INDEX {%notifications_due}

CREATE INDEX {%notifications_state} ON {#notifications} (application_id, state, id);
-- down: DROP INDEX {%notifications_state}

CREATE TABLE {idempotency} (
	application_id TEXT NOT NULL,
	caller TEXT NOT NULL,
	idempotency_key TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	user_id TEXT NOT NULL,
	expires_at INTEGER NOT NULL,
	CONSTRAINT {#idempotency_pk} PRIMARY KEY (application_id, caller, idempotency_key)
) WITHOUT ROWID;
-- down: DROP TABLE {idempotency}

CREATE INDEX {%idempotency_expires} ON {#idempotency} (expires_at);
-- down: DROP INDEX {%idempotency_expires}

CREATE TABLE {password_tokens} (
	application_id TEXT NOT NULL,
	token_hash TEXT NOT NULL,
	user_id TEXT NOT NULL,
	purpose TEXT NOT NULL,
	email_key TEXT NOT NULL,
	notification_id TEXT NOT NULL,
	date_created INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	CONSTRAINT {#password_tokens_pk} PRIMARY KEY (application_id, token_hash)
);
-- down: DROP TABLE {password_tokens}

CREATE INDEX {%password_tokens_user} ON {#password_tokens} (application_id, user_id, date_created);
-- down: DROP INDEX {%password_tokens_user}

CREATE INDEX {%password_tokens_expires} ON {#password_tokens} (expires_at);
-- down: DROP INDEX {%password_tokens_expires}
