//! Jaxpr texts as Core, their values, derivatives and lanes.
