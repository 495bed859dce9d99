//! Each format against an RGB reference, and no description that reads out of bounds.

use super::*;
use proptest::prelude::*;

use PixelFormat::{Bgr24, Bgra32, Gray8, I420, Nv12, Rgb24, Rgba32, Yuyv};

#[test]
fn every_packed_format_gives_the_same_colour() {
    let layouts: [(PixelFormat, &[u8]); 4] = [
        (Rgb24, &[1, 2, 3]),
        (Bgr24, &[3, 2, 1]),
        (Rgba32, &[1, 2, 3, 99]),
        (Bgra32, &[3, 2, 1, 99]),
    ];
    for (format, bytes) in layouts {
        let frame = FrameView::new(bytes, 1, 1, bytes.len(), format).unwrap();
        assert_eq!(frame.rgb(0, 0), [1, 2, 3], "{format:?}");
    }
}

/// 3x3 pixels, so that the last column and row have a colour of their own.
#[test]
fn pixels_take_the_colour_of_their_pair_or_square() {
    let (luma, u, v) =
        ([50, 60, 70, 80, 90, 100, 110, 120, 130], [90, 100, 110, 120], [160, 150, 140, 130]);
    let expected = |x: usize, y: usize, colour: usize| {
        YuvColour::Bt601Limited.rgb([luma[y * 3 + x], u[colour], v[colour]])
    };
    let i420 = [&luma[..], &u, &v].concat();
    let pairs: Vec<u8> = u.iter().zip(v).flat_map(|(u, v)| [*u, v]).collect();
    let planes = [Plane { bytes: &luma, stride: 3 }, Plane { bytes: &pairs, stride: 4 }];
    let frames = [
        FrameView::new(&i420, 3, 3, 3, I420).unwrap(),
        FrameView::from_planes(&planes, 3, 3, Nv12).unwrap(),
    ];
    for frame in frames {
        for (x, y) in (0..9).map(|i| (i % 3, i / 3)) {
            let seen = frame.rgb(x as u32, y as u32);
            assert_eq!(seen, expected(x, y, y / 2 * 2 + x / 2), "{:?} {x},{y}", frame.format);
        }
    }
    // Y U Y V, the second pixel of the second pair is padding.
    let row = [50, 90, 60, 160, 70, 100, 0, 150];
    let frame = FrameView::new(&row, 3, 1, 8, Yuyv).unwrap();
    for x in 0..3 {
        assert_eq!(frame.rgb(x as u32, 0), expected(x, 0, x / 2), "YUYV {x}");
    }
}

#[test]
fn the_meaning_of_yuv_can_be_chosen() {
    let black = [0, 128, 0, 128];
    let frame = FrameView::new(&black, 2, 1, 4, Yuyv).unwrap();
    assert_eq!(frame.with_yuv(YuvColour::Bt601Full).rgb(0, 0), [0; 3]);
    let white = [235, 128, 235, 128];
    let frame = FrameView::new(&white, 2, 1, 4, Yuyv).unwrap();
    assert_eq!(frame.rgb(1, 0), [255; 3]);
    assert_eq!(frame.with_yuv(YuvColour::Bt601Full).rgb(1, 0), [235; 3]);
}

#[test]
fn padding_between_rows_is_skipped_and_the_last_row_needs_none() {
    let bytes = [1, 2, 0, 0, 3, 4];
    let frame = FrameView::new(&bytes, 2, 2, 4, Gray8).unwrap();
    let gray = |x, y| frame.rgb(x, y)[0];
    assert_eq!([gray(0, 0), gray(1, 0), gray(0, 1), gray(1, 1)], [1, 2, 3, 4]);
    assert_eq!(gray(9, 9), 4, "outside is the nearest border pixel");
}

#[test]
fn every_mismatch_has_its_own_error() {
    let bytes = [0; 12];
    let new =
        |width, height, stride| FrameView::new(&bytes, width, height, stride, Rgb24).unwrap_err();
    assert_eq!(new(0, 2, 6), FrameError::Empty { width: 0, height: 2 });
    assert_eq!(new(2, 0, 6), FrameError::Empty { width: 2, height: 0 });
    assert_eq!(new(70_000, 1, 210_000), FrameError::TooLarge { width: 70_000, height: 1 });
    assert_eq!(new(2, 2, 5), FrameError::StrideTooSmall { plane: 0, stride: 5, row: 6 });
    assert_eq!(new(2, 3, 6), FrameError::TooFewBytes { plane: 0, needed: 18, available: 12 });
    assert_eq!(new(2, 3, usize::MAX), FrameError::Overflow { stride: usize::MAX, height: 3 });
    let planes = [Plane { bytes: &bytes, stride: 4 }; 2];
    assert_eq!(
        FrameView::from_planes(&planes, 2, 2, I420).unwrap_err(),
        FrameError::PlaneCount { format: I420, needed: 3, given: 2 }
    );
    let mut planes = [Plane { bytes: &bytes, stride: 4 }, Plane { bytes: &bytes[..3], stride: 4 }];
    assert_eq!(
        FrameView::from_planes(&planes, 4, 2, Nv12).unwrap_err(),
        FrameError::TooFewBytes { plane: 1, needed: 4, available: 3 }
    );
    planes[1] = Plane { bytes: &bytes, stride: 3 };
    assert_eq!(
        FrameView::from_planes(&planes, 3, 2, Nv12).unwrap_err(),
        FrameError::StrideTooSmall { plane: 1, stride: 3, row: 4 }
    );
}

/// The fewest bytes of a frame in one buffer: whole rows, but for the last plane's last row.
fn bytes_needed(format: PixelFormat, width: u32, height: u32, stride: usize) -> usize {
    let last = format.planes() - 1;
    (0..=last).fold(0, |sum, plane| {
        let (stride, rows) =
            (format.plane_stride(plane, stride), format.rows(plane, height) as usize);
        let row = format.row_bytes(plane, width);
        sum + if plane == last { stride * (rows - 1) + row } else { stride * rows }
    })
}

proptest! {
    #[test]
    fn no_description_panics(
        length in 0usize..300,
        width in prop_oneof![0u32..20, any::<u32>()],
        height in prop_oneof![0u32..20, any::<u32>()],
        stride in prop_oneof![0usize..64, any::<usize>()],
        format in prop::sample::select(&PixelFormat::ALL[..]),
        (x, y) in any::<(u32, u32)>(),
    ) {
        // 128 is gray in every format.
        let bytes = vec![128; length];
        if let Ok(frame) = FrameView::new(&bytes, width, height, stride, format) {
            let frame = frame.with_yuv(YuvColour::Bt601Full);
            prop_assert_eq!(frame.rgb(x, y), [128; 3]);
            let mut bytes = Vec::new();
            let row = frame.read_row(x, width, y, &mut bytes);
            prop_assert!(row.iter().all(|value| *value == 128));
        }
    }

    #[test]
    fn exactly_the_bytes_needed_are_enough_and_all_are_read(
        (width, height) in (1u32..12, 1u32..12),
        padding in 0usize..5,
        format in prop::sample::select(&PixelFormat::ALL[..]),
        seed in any::<u8>(),
    ) {
        let stride = format.row_bytes(0, width).max(format.row_bytes(1, width)) + padding;
        let needed = bytes_needed(format, width, height, stride);
        let bytes: Vec<u8> = (0..needed).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
        prop_assert!(FrameView::new(&bytes[..needed - 1], width, height, stride, format).is_err());
        let frame = FrameView::new(&bytes, width, height, stride, format).unwrap();
        for y in 0..height {
            let mut bytes = Vec::new();
            let row = frame.read_row(0, width, y, &mut bytes);
            let pixels: Vec<_> = (0..width).flat_map(|x| frame.rgb(x, y)).collect();
            prop_assert_eq!(row, pixels);
        }
    }
}
