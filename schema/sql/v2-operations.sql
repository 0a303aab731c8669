-- version 2: add_operations_history
-- up
-- Operation history for replay functionality
CREATE TABLE operations (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    type TEXT NOT NULL,           -- 'chat', 'generate', 'deploy', 'query'
    input TEXT NOT NULL,          -- JSON: user input and context
    output TEXT,                  -- JSON: operation result
    plan TEXT,                    -- JSON: execution plan
    status TEXT DEFAULT 'pending', -- 'pending', 'running', 'completed', 'failed', 'cancelled'
    error TEXT,                   -- Error message if failed
    duration_ms INTEGER,
    tokens_used INTEGER,
    cost_cents INTEGER,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    completed_at DATETIME,

    FOREIGN KEY (session_id) REFERENCES sessions(id)
);

CREATE INDEX idx_operations_session ON operations(session_id);
CREATE INDEX idx_operations_status ON operations(status);
CREATE INDEX idx_operations_created ON operations(created_at);

-- Sessions for grouping related operations
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT,
    description TEXT,
    context TEXT,                 -- JSON: session context (directory, env, etc.)
    persona_id TEXT,
    started_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    ended_at DATETIME,

    FOREIGN KEY (persona_id) REFERENCES personas(id)
);

-- Operation steps for detailed tracking
CREATE TABLE operation_steps (
    id TEXT PRIMARY KEY,
    operation_id TEXT NOT NULL,
    step_number INTEGER NOT NULL,
    type TEXT NOT NULL,           -- 'llm_call', 'tool_call', 'user_input', 'verification'
    tool_name TEXT,
    input TEXT,                   -- JSON
    output TEXT,                  -- JSON
    status TEXT DEFAULT 'pending',
    duration_ms INTEGER,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,

    FOREIGN KEY (operation_id) REFERENCES operations(id)
);

CREATE INDEX idx_steps_operation ON operation_steps(operation_id);

-- Checkpoints for operation replay
CREATE TABLE checkpoints (
    id TEXT PRIMARY KEY,
    operation_id TEXT NOT NULL,
    step_id TEXT NOT NULL,
    name TEXT,
    state TEXT NOT NULL,          -- JSON: complete state snapshot
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,

    FOREIGN KEY (operation_id) REFERENCES operations(id),
    FOREIGN KEY (step_id) REFERENCES operation_steps(id)
);

CREATE INDEX idx_checkpoints_operation ON checkpoints(operation_id);
-- down
DROP TABLE IF EXISTS checkpoints;
DROP TABLE IF EXISTS operation_steps;
DROP TABLE IF EXISTS operations;
DROP TABLE IF EXISTS sessions;
