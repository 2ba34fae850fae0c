CREATE TABLE {users_migrations} (
	version INTEGER NOT NULL,
	step INTEGER NOT NULL,
	started_at BIGINT NOT NULL,
	done_at BIGINT,
	owner VARBINARY(255),
	PRIMARY KEY (version, step)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table users_migrations
-- down: DROP TABLE {users_migrations}

CREATE TABLE {applications} (
	id VARBINARY(64) NOT NULL,
	api_key VARBINARY(64) NOT NULL,
	name VARBINARY(1024) NOT NULL,
	disabled BOOLEAN NOT NULL,
	require_approval BOOLEAN NOT NULL,
	date_created BIGINT NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE KEY {#applications_api_key} (api_key)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table applications
-- down: DROP TABLE {applications}

CREATE TABLE {roles} (
	application_id VARBINARY(64) NOT NULL,
	id VARBINARY(64) NOT NULL,
	name VARBINARY(1024) NOT NULL,
	name_key VARBINARY(1024) NOT NULL,
	description VARBINARY(4096) NOT NULL,
	date_created BIGINT NOT NULL,
	date_updated BIGINT NOT NULL,
	PRIMARY KEY (application_id, id),
	UNIQUE KEY {#roles_name} (application_id, name_key)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table roles
-- down: DROP TABLE {roles}

CREATE TABLE {users} (
	application_id VARBINARY(64) NOT NULL,
	id VARBINARY(64) NOT NULL,
	user_name VARBINARY(1024) NOT NULL,
	name_key VARBINARY(1024) NOT NULL,
	email VARBINARY(1024) NOT NULL,
	email_key VARBINARY(320) NOT NULL,
	key_version INTEGER NOT NULL,
	display_name VARBINARY(1024) NOT NULL,
	display_key VARBINARY(1024) NOT NULL,
	credential VARBINARY(1024),
	is_approved BOOLEAN NOT NULL,
	is_locked_out BOOLEAN NOT NULL,
	dashboard_access BOOLEAN NOT NULL,
	dashboard_settings MEDIUMBLOB,
	created_by VARBINARY(255) NOT NULL,
	creation_date BIGINT NOT NULL,
	date_created BIGINT NOT NULL,
	date_updated BIGINT NOT NULL,
	failures INTEGER NOT NULL,
	locked_until BIGINT NOT NULL,
	last_login BIGINT NOT NULL,
	email_verified BIGINT NOT NULL,
	password_changed BIGINT NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (application_id, id),
	UNIQUE KEY {#users_name} (application_id, name_key),
	UNIQUE KEY {#users_email} (application_id, email_key),
	KEY {#users_created} (application_id, date_created, id),
	KEY {#users_standing} (application_id, is_approved, is_locked_out, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table users
-- down: DROP TABLE {users}

CREATE TABLE {user_roles} (
	application_id VARBINARY(64) NOT NULL,
	user_id VARBINARY(64) NOT NULL,
	role_id VARBINARY(64) NOT NULL,
	PRIMARY KEY (application_id, user_id, role_id),
	KEY {#user_roles_role} (application_id, role_id, user_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table user_roles
-- down: DROP TABLE {user_roles}

CREATE TABLE {deleted_roles} (
	application_id VARBINARY(64) NOT NULL,
	role_id VARBINARY(64) NOT NULL,
	PRIMARY KEY (application_id, role_id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table deleted_roles
-- down: DROP TABLE {deleted_roles}

CREATE TABLE {notifications} (
	application_id VARBINARY(64) NOT NULL,
	id VARBINARY(64) NOT NULL,
	user_id VARBINARY(64) NOT NULL,
	kind VARBINARY(64) NOT NULL,
	state VARBINARY(16) NOT NULL,
	pending TINYINT,
	urgent BOOLEAN NOT NULL,
	due_at BIGINT NOT NULL,
	lease_until BIGINT NOT NULL,
	lease_owner VARBINARY(255) NOT NULL,
	attempts INTEGER NOT NULL,
	last_error VARBINARY(512) NOT NULL,
	date_created BIGINT NOT NULL,
	PRIMARY KEY (application_id, id),
	UNIQUE KEY {#notifications_pending} (application_id, user_id, kind, pending),
	KEY {#notifications_due} (state, application_id, urgent, due_at, id),
	KEY {#notifications_state} (application_id, state, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table notifications
-- down: DROP TABLE {notifications}

CREATE TABLE {idempotency} (
	application_id VARBINARY(64) NOT NULL,
	caller VARBINARY(300) NOT NULL,
	idempotency_key VARBINARY(255) NOT NULL,
	fingerprint VARBINARY(64) NOT NULL,
	user_id VARBINARY(64) NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (application_id, caller, idempotency_key),
	KEY {#idempotency_expires} (expires_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table idempotency
-- down: DROP TABLE {idempotency}

CREATE TABLE {password_tokens} (
	application_id VARBINARY(64) NOT NULL,
	token_hash VARBINARY(64) NOT NULL,
	user_id VARBINARY(64) NOT NULL,
	purpose VARBINARY(64) NOT NULL,
	email_key VARBINARY(320) NOT NULL,
	notification_id VARBINARY(64) NOT NULL,
	date_created BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (application_id, token_hash),
	KEY {#password_tokens_user} (application_id, user_id, date_created),
	KEY {#password_tokens_expires} (expires_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4;
-- done if: table password_tokens
-- down: DROP TABLE {password_tokens}
