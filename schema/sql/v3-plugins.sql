-- version 3: add_plugin_system
-- up
-- Installed plugins
CREATE TABLE plugins (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    description TEXT,
    author TEXT,
    homepage TEXT,
    repository TEXT,
    type TEXT NOT NULL,           -- 'tool', 'provider', 'generator', 'ui', 'integration'
    entry_point TEXT NOT NULL,    -- Path to main module
    config_schema TEXT,           -- JSON Schema for plugin config
    dependencies TEXT,            -- JSON: list of dependencies
    permissions TEXT,             -- JSON: required permissions
    enabled BOOLEAN DEFAULT true,
    installed_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME
);

CREATE INDEX idx_plugins_type ON plugins(type);
CREATE INDEX idx_plugins_enabled ON plugins(enabled);

-- Plugin configurations
CREATE TABLE plugin_configs (
    id TEXT PRIMARY KEY,
    plugin_id TEXT NOT NULL,
    config TEXT NOT NULL,         -- JSON: plugin configuration
    profile TEXT DEFAULT 'default', -- Config profile name
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP,

    FOREIGN KEY (plugin_id) REFERENCES plugins(id),
    UNIQUE (plugin_id, profile)
);

-- Plugin hooks
CREATE TABLE plugin_hooks (
    id TEXT PRIMARY KEY,
    plugin_id TEXT NOT NULL,
    hook_name TEXT NOT NULL,      -- 'pre_execute', 'post_execute', 'on_error', etc.
    priority INTEGER DEFAULT 100, -- Lower = higher priority
    enabled BOOLEAN DEFAULT true,

    FOREIGN KEY (plugin_id) REFERENCES plugins(id)
);

CREATE INDEX idx_hooks_name ON plugin_hooks(hook_name);

-- Plugin registry cache (for marketplace)
CREATE TABLE plugin_registry (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    latest_version TEXT NOT NULL,
    description TEXT,
    author TEXT,
    downloads INTEGER DEFAULT 0,
    rating REAL,
    categories TEXT,              -- JSON: list of categories
    metadata TEXT,                -- JSON: additional metadata
    fetched_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
-- down
DROP TABLE IF EXISTS plugin_registry;
DROP TABLE IF EXISTS plugin_hooks;
DROP TABLE IF EXISTS plugin_configs;
DROP TABLE IF EXISTS plugins;
