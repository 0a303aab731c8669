-- version 6: secrets
-- up
CREATE INDEX idx_credentials_provider ON credentials(provider);

-- Credential profiles for different contexts
CREATE TABLE credential_profiles (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    credentials TEXT NOT NULL,    -- JSON: mapping of provider -> credential_id
    is_default BOOLEAN DEFAULT false,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
-- down
DROP TABLE IF EXISTS credential_profiles;
DROP INDEX IF EXISTS idx_credentials_provider;
