//! Pure routing policy: model, matrix, gains. No I/O, no clock, no D-Bus.
