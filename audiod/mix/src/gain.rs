//! Gains that move: linear in amplitude, because a ramp to or from silence then has an end (a dB-linear one has none), its
//! per-frame value needs no transcendental, and its greatest step is known: 1 / frames.

const LANES: usize = 8;

/// The gain of one source at one zone, over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    now: f32,
    target: f32,
    left: u32,
}

/// What a [`Ramp`] does over the next frames: `from + step * (i + 1)` for the first `moving` frames, then `then`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Gain before the first frame.
    pub from: f32,
    /// Change a frame.
    pub step: f32,
    /// Frames that move.
    pub moving: usize,
    /// Gain of all frames after those.
    pub then: f32,
}

impl Segment {
    /// One gain all the time.
    pub const fn steady(gain: f32) -> Self {
        Self {
            from: gain,
            step: 0.0,
            moving: 0,
            then: gain,
        }
    }

    /// Gain at frame `index`.
    pub fn at(&self, index: usize) -> f32 {
        if index < self.moving {
            self.from + self.step * (index + 1) as f32
        } else {
            self.then
        }
    }

    /// No frame is heard.
    pub fn silent(&self) -> bool {
        self.moving == 0 && self.then == 0.0
    }

    /// The largest gain in it.
    pub fn loudest(&self) -> f32 {
        if self.moving == 0 {
            self.then
        } else {
            self.from.max(self.then).max(self.at(self.moving - 1))
        }
    }
}

impl Ramp {
    /// Stands at `gain`.
    pub const fn at(gain: f32) -> Self {
        Self {
            now: gain,
            target: gain,
            left: 0,
        }
    }

    /// Heads for `target`, from wherever it is, in `frames`; 0 = at once. A target that is not a number is silence.
    pub fn head_for(&mut self, target: f32, frames: u32) {
        self.target = if target.is_finite() { target } else { 0.0 };
        self.left = frames;
        if frames == 0 {
            self.now = self.target;
        }
    }

    /// The gain reached so far.
    pub fn now(&self) -> f32 {
        self.now
    }

    /// Stands at silence.
    pub fn silent(&self) -> bool {
        self.left == 0 && self.now == 0.0
    }

    /// The next `frames`, which are then past.
    pub fn advance(&mut self, frames: usize) -> Segment {
        if self.left == 0 {
            return Segment::steady(self.now);
        }
        let moving = frames.min(self.left as usize);
        let step = (self.target - self.now) / self.left as f32;
        let from = self.now;
        self.left -= moving as u32;
        self.now = if self.left == 0 {
            self.target
        } else {
            from + step * moving as f32
        };
        // The last moving frame stands at the target itself, not at what rounding made of it.
        let moving = if self.left == 0 { moving - 1 } else { moving };
        Segment {
            from,
            step,
            moving,
            then: self.now,
        }
    }
}

/// Adds `input`, scaled by `coefficient` and the moving gain, to `bus`. At coefficient 1 and gain 1 an empty bus takes the
/// input's bits unchanged.
pub fn mix(bus: &mut [f32], input: &[f32], coefficient: f32, gain: &Segment) {
    if coefficient == 0.0 || gain.silent() {
        return;
    }
    let frames = bus.len().min(input.len());
    let moving = gain.moving.min(frames);
    let (bus_moving, bus_steady) = bus[..frames].split_at_mut(moving);
    let (in_moving, in_steady) = input[..frames].split_at(moving);
    mix_ramp(bus_moving, in_moving, coefficient, gain);
    mix_steady(bus_steady, in_steady, coefficient * gain.then);
}

/// Adds `input` to `bus` unchanged.
pub fn add(bus: &mut [f32], input: &[f32]) {
    mix_steady(bus, input, 1.0);
}

fn mix_ramp(bus: &mut [f32], input: &[f32], coefficient: f32, gain: &Segment) {
    let (bus_lanes, bus_rest) = bus.as_chunks_mut::<LANES>();
    let (in_lanes, in_rest) = input.as_chunks::<LANES>();
    let mut at = 0;
    for (bus, input) in bus_lanes.iter_mut().zip(in_lanes) {
        for lane in 0..LANES {
            bus[lane] += input[lane] * ((gain.from + gain.step * (at + lane + 1) as f32) * coefficient);
        }
        at += LANES;
    }
    for (lane, (bus, input)) in bus_rest.iter_mut().zip(in_rest).enumerate() {
        *bus += *input * ((gain.from + gain.step * (at + lane + 1) as f32) * coefficient);
    }
}

fn mix_steady(bus: &mut [f32], input: &[f32], gain: f32) {
    let (bus_lanes, bus_rest) = bus.as_chunks_mut::<LANES>();
    let (in_lanes, in_rest) = input.as_chunks::<LANES>();
    for (bus, input) in bus_lanes.iter_mut().zip(in_lanes) {
        for lane in 0..LANES {
            bus[lane] += input[lane] * gain;
        }
    }
    for (bus, input) in bus_rest.iter_mut().zip(in_rest) {
        *bus += *input * gain;
    }
}
