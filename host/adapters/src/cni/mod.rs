//! Pod networks by plugin.
