-- version 7: lineage
-- up
-- Operations that go on from a state of another one
CREATE TABLE forks (
    operation_id TEXT PRIMARY KEY,
    parent_id TEXT NOT NULL,
    checkpoint_id TEXT,           -- the state it began with, or
    step_number INTEGER,          -- after this step of the parent; 0 is its start
    created_at DATETIME,

    FOREIGN KEY (operation_id) REFERENCES operations(id),
    FOREIGN KEY (parent_id) REFERENCES operations(id),
    FOREIGN KEY (checkpoint_id) REFERENCES checkpoints(id)
);

CREATE INDEX idx_forks_parent ON forks(parent_id);

-- What came of replaying operations
CREATE TABLE replay_receipts (
    id TEXT PRIMARY KEY,
    operation_id TEXT NOT NULL,
    verdict TEXT NOT NULL,        -- 'holds', 'diverges', 'incomplete'
    records INTEGER NOT NULL,     -- of the journal then,
    root TEXT,                    -- and its Merkle root, in hex
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    state_digest TEXT,            -- of the last state, in hex
    divergence TEXT,              -- JSON: the first one
    created_at DATETIME,

    FOREIGN KEY (operation_id) REFERENCES operations(id)
);

CREATE INDEX idx_receipts_operation ON replay_receipts(operation_id);
-- down
DROP TABLE IF EXISTS replay_receipts;
DROP TABLE IF EXISTS forks;
