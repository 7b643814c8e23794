//! Every format, there and back: integers of up to 24 bits keep every bit, whatever their value.
#![allow(missing_docs)]

use mix::format::LOUDEST;
use mix::{Faults, Format};

/// Edges and a walk through the whole range of an integer format.
fn values(bits: u32) -> Vec<i64> {
    let half = 1i64 << (bits - 1);
    let mut all = vec![-half, -half + 1, -1, 0, 1, half - 2, half - 1];
    let step = (2 * half / 4099).max(1);
    all.extend((0..4099).map(|n| -half + n * step).filter(|v| *v < half));
    all
}

fn bytes_of(format: Format, value: i64) -> Vec<u8> {
    let unsigned = format!("{format:?}").starts_with('U');
    let raw = if unsigned {
        value + (1i64 << (format.bits() - 1))
    } else {
        value
    };
    raw.to_le_bytes()[..format.bytes()].to_vec()
}

#[test]
fn integers_up_to_24_bits_come_back_as_they_went() {
    for format in Format::ALL
        .into_iter()
        .filter(|f| f.bits() <= 24 && *f != Format::Float)
    {
        let sent: Vec<u8> = values(format.bits())
            .into_iter()
            .flat_map(|v| bytes_of(format, v))
            .collect();
        let mut samples = vec![0.0; sent.len() / format.bytes()];
        let mut back = vec![0; sent.len()];

        format.decode(&sent, 1, &mut samples, &mut Faults::default());
        format.encode(&samples, 1, &mut back);

        assert_eq!(back, sent, "{format:?}");
    }
}

#[test]
fn a_value_is_its_share_of_full_scale() {
    for format in Format::ALL
        .into_iter()
        .filter(|f| f.bits() <= 32 && *f != Format::Float)
    {
        let quarter = 1i64 << (format.bits() - 3);
        let sent: Vec<u8> = [-2 * quarter, quarter, 0]
            .into_iter()
            .flat_map(|v| bytes_of(format, v))
            .collect();
        let mut samples = [9.0; 3];

        format.decode(&sent, 1, &mut samples, &mut Faults::default());

        assert_eq!(samples, [-0.5, 0.25, 0.0], "{format:?}");
    }
}

#[test]
fn wider_formats_keep_24_bits() {
    for format in [Format::S32, Format::U32, Format::Float, Format::Float64] {
        let samples: Vec<f32> = values(24).into_iter().map(|v| v as f32 / 8_388_608.0).collect();
        let mut bytes = vec![0; samples.len() * format.bytes()];
        let mut back = vec![9.0; samples.len()];

        format.encode(&samples, 1, &mut bytes);
        format.decode(&bytes, 1, &mut back, &mut Faults::default());

        assert_eq!(back, samples, "{format:?}");
    }
}

#[test]
fn what_is_too_loud_saturates_and_what_is_between_rounds_to_the_nearest() {
    let grain = 1.0 / 32_768.0;
    let samples = [
        2.0,
        -2.0,
        1.0,
        f32::NAN,
        f32::INFINITY,
        0.4 * grain,
        0.6 * grain,
        -0.6 * grain,
        1.5 * grain,
    ];
    let mut bytes = [0; 18];

    Format::S16.encode(&samples, 1, &mut bytes);

    let (chunks, _) = bytes.as_chunks::<2>();
    let got: Vec<i16> = chunks.iter().map(|&c| i16::from_le_bytes(c)).collect();
    assert_eq!(got, [32_767, -32_768, 32_767, 0, 32_767, 0, 1, -1, 2]);
}

#[test]
fn dirty_bits_above_the_significant_ones_are_ignored() {
    let mut samples = [0.0; 1];
    Format::S24.decode(&[0, 0, 0x40, 0xff], 1, &mut samples, &mut Faults::default());
    assert_eq!(samples, [0.5]);
    Format::U20In3.decode(&[0, 0, 0xf4], 1, &mut samples, &mut Faults::default());
    assert_eq!(samples, [-0.5]);
}

#[test]
fn floats_that_are_no_samples_are_counted_and_tamed() {
    let sent: Vec<u8> = [f32::NAN, f32::INFINITY, -100.0, LOUDEST]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let mut samples = [9.0; 4];
    let mut faults = Faults::default();

    Format::Float.decode(&sent, 1, &mut samples, &mut faults);

    assert_eq!(samples, [0.0, LOUDEST, -LOUDEST, LOUDEST]);
    assert_eq!(
        faults,
        Faults {
            not_a_number: 1,
            clamped: 2
        }
    );
}

#[test]
fn channels_are_taken_apart_and_put_together() {
    for channels in 1..=8 {
        for format in Format::ALL.into_iter().filter(|f| f.bits() <= 24) {
            let sent: Vec<u8> = (0..9 * channels)
                .flat_map(|n| match format {
                    Format::Float => (n as f32 / 128.0).to_le_bytes().to_vec(),
                    _ => bytes_of(format, n as i64),
                })
                .collect();
            let (mut planar, mut back) = (vec![9.0; 9 * channels], vec![0; sent.len()]);

            format.decode(&sent, channels, &mut planar, &mut Faults::default());
            format.encode(&planar, channels, &mut back);

            let grain = planar[9 * (channels - 1)] / (channels - 1).max(1) as f32;
            for (channel, samples) in planar.chunks(9).enumerate() {
                let wanted: Vec<f32> = (0..9).map(|n| (n * channels + channel) as f32 * grain).collect();
                assert!(
                    channels == 1 || samples == wanted,
                    "{format:?} {channel} of {channels}: {samples:?}"
                );
            }
            assert_eq!(back, sent, "{format:?} {channels}");
        }
    }
}

#[test]
fn the_shorter_of_samples_and_bytes_ends_it() {
    for channels in 1..=3 {
        let mut planar = vec![9.0; 4 * channels];
        Format::S8.decode(&vec![64; 3 * channels], channels, &mut planar, &mut Faults::default());
        let mut bytes = vec![1; 6 * channels];
        Format::S8.encode(&planar, channels, &mut bytes);

        assert!(planar.chunks(4).all(|one| *one == [0.5, 0.5, 0.5, 9.0]), "{planar:?}");
        let (filled, rest) = bytes.split_at(4 * channels);
        assert!(filled[..3 * channels].iter().all(|&b| b == 64) && filled[3 * channels..].iter().all(|&b| b == 127));
        assert!(rest.iter().all(|&b| b == 1));
    }
}
