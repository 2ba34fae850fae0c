CREATE TABLE {users_migrations} (
	version    INTEGER NOT NULL,
	step       INTEGER NOT NULL,
	started_at BIGINT  NOT NULL,
	done_at    BIGINT,
	CONSTRAINT {#users_migrations_pk} PRIMARY KEY (version, step)
);
-- down: DROP TABLE {users_migrations}

CREATE TABLE {applications} (
	id               TEXT COLLATE "C" NOT NULL,
	api_key          TEXT COLLATE "C" NOT NULL,
	name             TEXT    NOT NULL,
	disabled         BOOLEAN NOT NULL,
	require_approval BOOLEAN NOT NULL,
	date_created     BIGINT  NOT NULL,
	version          BIGINT  NOT NULL,
	CONSTRAINT {#applications_pk} PRIMARY KEY (id),
	CONSTRAINT {#applications_api_key} UNIQUE (api_key)
);
-- down: DROP TABLE {applications}

CREATE TABLE {roles} (
	application_id TEXT COLLATE "C" NOT NULL,
	id             TEXT COLLATE "C" NOT NULL,
	name           TEXT   NOT NULL,
	name_key       TEXT COLLATE "C" NOT NULL,
	description    TEXT   NOT NULL,
	date_created   BIGINT NOT NULL,
	date_updated   BIGINT NOT NULL,
	CONSTRAINT {#roles_pk} PRIMARY KEY (application_id, id),
	CONSTRAINT {#roles_name} UNIQUE (application_id, name_key)
);
-- down: DROP TABLE {roles}

CREATE TABLE {users} (
	application_id     TEXT COLLATE "C" NOT NULL,
	id                 TEXT COLLATE "C" NOT NULL,
	user_name          TEXT    NOT NULL,
	name_key           TEXT COLLATE "C" NOT NULL,
	email              TEXT    NOT NULL,
	email_key          TEXT COLLATE "C" NOT NULL,
	key_version        INTEGER NOT NULL,
	display_name       TEXT    NOT NULL,
	display_key        TEXT COLLATE "C" NOT NULL,
	credential         TEXT,
	is_approved        BOOLEAN NOT NULL,
	is_locked_out      BOOLEAN NOT NULL,
	dashboard_access   BOOLEAN NOT NULL,
	dashboard_settings TEXT,
	created_by         TEXT    NOT NULL,
	creation_date      BIGINT  NOT NULL,
	date_created       BIGINT  NOT NULL,
	date_updated       BIGINT  NOT NULL,
	failures           INTEGER NOT NULL,
	locked_until       BIGINT  NOT NULL,
	last_login         BIGINT  NOT NULL,
	email_verified     BIGINT  NOT NULL,
	password_changed   BIGINT  NOT NULL,
	version            BIGINT  NOT NULL,
	CONSTRAINT {#users_pk} PRIMARY KEY (application_id, id),
	CONSTRAINT {#users_name} UNIQUE (application_id, name_key),
	CONSTRAINT {#users_email} UNIQUE (application_id, email_key)
);
-- down: DROP TABLE {users}

CREATE INDEX {#users_created} ON {users} (application_id, date_created, id);
-- down: DROP INDEX {%users_created}

CREATE INDEX {#users_standing} ON {users} (application_id, id) WHERE NOT is_approved OR is_locked_out;
-- down: DROP INDEX {%users_standing}

CREATE TABLE {user_roles} (
	application_id TEXT COLLATE "C" NOT NULL,
	user_id        TEXT COLLATE "C" NOT NULL,
	role_id        TEXT COLLATE "C" NOT NULL,
	CONSTRAINT {#user_roles_pk} PRIMARY KEY (application_id, user_id, role_id)
);
-- down: DROP TABLE {user_roles}

CREATE INDEX {#user_roles_role} ON {user_roles} (application_id, role_id, user_id);
-- down: DROP INDEX {%user_roles_role}

CREATE TABLE {deleted_roles} (
	application_id TEXT COLLATE "C" NOT NULL,
	role_id        TEXT COLLATE "C" NOT NULL,
	CONSTRAINT {#deleted_roles_pk} PRIMARY KEY (application_id, role_id)
);
-- down: DROP TABLE {deleted_roles}

CREATE TABLE {notifications} (
	application_id TEXT COLLATE "C" NOT NULL,
	id             TEXT COLLATE "C" NOT NULL,
	user_id        TEXT COLLATE "C" NOT NULL,
	kind           TEXT COLLATE "C" NOT NULL,
	state          TEXT COLLATE "C" NOT NULL,
	pending        SMALLINT,
	urgent         BOOLEAN NOT NULL,
	due_at         BIGINT  NOT NULL,
	lease_until    BIGINT  NOT NULL,
	lease_owner    TEXT COLLATE "C" NOT NULL,
	attempts       INTEGER NOT NULL,
	last_error     TEXT    NOT NULL,
	date_created   BIGINT  NOT NULL,
	CONSTRAINT {#notifications_pk} PRIMARY KEY (application_id, id),
	CONSTRAINT {#notifications_pending} UNIQUE (application_id, user_id, kind, pending)
);
-- down: DROP TABLE {notifications}

CREATE INDEX {#notifications_due} ON {notifications} (state, application_id, urgent, due_at, id);
-- down: DROP INDEX {%notifications_due}

CREATE INDEX {#notifications_state} ON {notifications} (application_id, state, id);
-- down: DROP INDEX {%notifications_state}

CREATE TABLE {idempotency} (
	application_id  TEXT COLLATE "C" NOT NULL,
	caller          TEXT COLLATE "C" NOT NULL,
	idempotency_key TEXT COLLATE "C" NOT NULL,
	fingerprint     TEXT COLLATE "C" NOT NULL,
	user_id         TEXT COLLATE "C" NOT NULL,
	expires_at      BIGINT NOT NULL,
	CONSTRAINT {#idempotency_pk} PRIMARY KEY (application_id, caller, idempotency_key)
);
-- down: DROP TABLE {idempotency}

CREATE INDEX {#idempotency_expires} ON {idempotency} (expires_at);
-- down: DROP INDEX {%idempotency_expires}

CREATE TABLE {password_tokens} (
	application_id TEXT COLLATE "C" NOT NULL,
	token_hash     TEXT COLLATE "C" NOT NULL,
	user_id        TEXT COLLATE "C" NOT NULL,
	purpose        TEXT COLLATE "C" NOT NULL,
	email_key      TEXT COLLATE "C" NOT NULL,
	notification_id TEXT COLLATE "C" NOT NULL,
	date_created   BIGINT NOT NULL,
	expires_at     BIGINT NOT NULL,
	CONSTRAINT {#password_tokens_pk} PRIMARY KEY (application_id, token_hash)
);
-- down: DROP TABLE {password_tokens}

CREATE INDEX {#password_tokens_user} ON {password_tokens} (application_id, user_id, date_created);
-- down: DROP INDEX {%password_tokens_user}

CREATE INDEX {#password_tokens_expires} ON {password_tokens} (expires_at);
-- down: DROP INDEX {%password_tokens_expires}
