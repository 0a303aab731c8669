-- version 5: enhanced_config
-- up
-- The default rows come from events, as all rows do.
-- User preferences with versioning
CREATE TABLE preferences (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    value TEXT NOT NULL,          -- JSON value
    type TEXT NOT NULL,           -- 'string', 'number', 'boolean', 'object', 'array'
    description TEXT,
    default_value TEXT,
    version INTEGER DEFAULT 1,
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP
);

-- Configuration profiles for different environments
CREATE TABLE config_profiles (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    config TEXT NOT NULL,         -- JSON: complete config override
    is_active BOOLEAN DEFAULT false,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME
);

-- Environment-specific configurations
CREATE TABLE environment_configs (
    id TEXT PRIMARY KEY,
    environment TEXT NOT NULL,    -- 'development', 'staging', 'production'
    cloud_provider TEXT NOT NULL, -- 'aws', 'gcp', 'azure'
    config TEXT NOT NULL,         -- JSON: environment-specific config
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME,

    UNIQUE (environment, cloud_provider)
);
-- down
DROP TABLE IF EXISTS environment_configs;
DROP TABLE IF EXISTS config_profiles;
DROP TABLE IF EXISTS preferences;
