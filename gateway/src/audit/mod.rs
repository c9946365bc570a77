//! Checkpoints of both logs: reads the ledger, signs what extends what was signed before.
