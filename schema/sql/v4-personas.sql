-- version 4: add_personas
-- up
-- The built-in rows come from events, as all rows do.
-- Persona definitions
CREATE TABLE personas (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    description TEXT,
    system_prompt TEXT NOT NULL,
    temperature REAL DEFAULT 0.7,
    model_preference TEXT,        -- Preferred model for this persona
    response_style TEXT,          -- JSON: style configuration
    capabilities TEXT,            -- JSON: enabled/disabled capabilities
    is_builtin BOOLEAN DEFAULT false,
    is_active BOOLEAN DEFAULT true,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME
);

-- Persona usage tracking
CREATE TABLE persona_usage (
    id TEXT PRIMARY KEY,
    persona_id TEXT NOT NULL,
    session_id TEXT,
    used_at DATETIME DEFAULT CURRENT_TIMESTAMP,

    FOREIGN KEY (persona_id) REFERENCES personas(id),
    FOREIGN KEY (session_id) REFERENCES sessions(id)
);

CREATE INDEX idx_persona_usage ON persona_usage(persona_id, used_at);
-- down
DROP TABLE IF EXISTS persona_usage;
DROP TABLE IF EXISTS personas;
