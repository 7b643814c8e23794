//! What the routing model promises.

mod model;
mod search;
