//! Over real loopback connections.
