-- version 1: initial_schema
-- up
CREATE TABLE config (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at DATETIME
);

-- Encrypted credentials storage
CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,       -- 'aws', 'gcp', 'azure', 'github', 'gitlab', etc.
    type TEXT NOT NULL,           -- 'api_key', 'access_key', 'service_account', 'oauth'
    encrypted_data TEXT NOT NULL, -- Encrypted JSON with credentials
    metadata TEXT,                -- JSON: non-sensitive metadata
    expires_at DATETIME,
    last_used_at DATETIME,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME
);
-- down
DROP TABLE IF EXISTS config;
DROP TABLE IF EXISTS credentials;
