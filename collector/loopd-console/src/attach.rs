//! Records programs that carry `console-subscriber`.
