//! What the machine promises.

mod calls;
mod fixture;
mod matrix;
mod streams;
