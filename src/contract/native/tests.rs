//! What native documents compile to, and what their operations accept.
