//! What a takeover does: scripts and cloud floating IPs.
