//! Large values by name: checkpoints and compiled modules.
