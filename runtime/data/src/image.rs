//! Arrays as pictures: `.png` of one, `.gif` of several that follow each other.
//!
//! A picture is `[height, width]` (grey, from black to white) or `[height, width, 3]` or `[…, 4]` (red, green, blue and how
//! opaque). Numbers with a point go from 0 to 1 and are clamped; NaN is 0. A `bool` is black or white.

use std::borrow::Cow;
use std::io;

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use crate::array::{Array, Element};

/// A picture of bytes, row by row, so many to a pixel.
struct Pixels {
    width: usize,
    height: usize,
    channels: usize,
    bytes: Vec<u8>,
}

/// The array as a `.png` file, every element as a square of `scale` by `scale` pixels.
pub fn png(a: &Array, scale: usize) -> io::Result<Vec<u8>> {
    let picture = pixels(a, &a.shape, 0, scale)?;
    let (width, height) = (fits(picture.width)?, fits(picture.height)?);
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width.into(), height.into());
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(match picture.channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&picture.bytes).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(out)
}

/// The pictures along the first axis as a `.gif` that repeats for ever, so many a second. Up to 256 colours of a frame
/// are kept as they are; of more the nearest of 256 are taken.
pub fn gif(a: &Array, scale: usize, per_second: f64) -> io::Result<Vec<u8>> {
    let Some((&frames, shape)) = a.shape.split_first() else { return Err(io::Error::other("no frames")) };
    let first = pixels(a, shape, 0, scale)?;
    let (width, height) = (fits(first.width)?, fits(first.height)?);
    let grey: Vec<u8> = (0..=255).flat_map(|v| [v; 3]).collect();
    let palette = if first.channels == 1 { grey } else { Vec::new() };
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, width, height, &palette).map_err(io::Error::other)?;
    encoder.set_repeat(Repeat::Infinite).map_err(io::Error::other)?;
    for k in 0..frames {
        let mut picture = pixels(a, shape, k, scale)?;
        let mut frame = match picture.channels {
            1 => Frame { width, height, buffer: Cow::Owned(picture.bytes), ..Frame::default() },
            3 => Frame::from_rgb_speed(width, height, &picture.bytes, QUALITY),
            _ => Frame::from_rgba_speed(width, height, &mut picture.bytes, QUALITY),
        };
        // What a frame leaves clear would else show the one before.
        frame.dispose = if picture.channels == 4 { DisposalMethod::Background } else { DisposalMethod::Keep };
        frame.delay = delay(k, per_second);
        encoder.write_frame(&frame).map_err(io::Error::other)?;
    }
    drop(encoder);
    Ok(out)
}

/// From 1, the best colours, to 30, the quickest choice of them.
const QUALITY: i32 = 10;

/// Hundredths of a second that frame `k` stays, such that the frames keep their time together.
fn delay(k: usize, per_second: f64) -> u16 {
    let until = |k: usize| (k as f64 * 100.0 / per_second).round();
    (until(k + 1) - until(k)) as u16
}

/// A side in the numbers that files have for it.
fn fits(side: usize) -> io::Result<u16> {
    u16::try_from(side).map_err(|_| io::Error::other(format!("a side of {side} pixels is too long")))
}

/// Picture `k` of pictures of this shape.
fn pixels(a: &Array, shape: &[usize], k: usize, scale: usize) -> io::Result<Pixels> {
    let (height, width, channels) = match *shape {
        [height, width] => (height, width, 1),
        [height, width, channels @ (3 | 4)] => (height, width, channels),
        _ => return Err(io::Error::other(format!("sizes {shape:?} are not those of a picture"))),
    };
    let row = width * channels;
    let value = |i: usize| match a.element {
        Element::U8 => a.bytes[i],
        Element::Bool => a.bytes[i] * 255,
        Element::F32 | Element::F64 | Element::F16 | Element::BF16 => {
            (a.number(i).clamp(0.0, 1.0) * 255.0).round() as u8
        }
        Element::I32 | Element::U32 => a.number(i).clamp(0.0, 255.0) as u8,
    };
    let from = k * height * row;
    let mut bytes = Vec::with_capacity(height * row * scale * scale);
    let mut line = Vec::with_capacity(row * scale);
    for y in 0..height {
        line.clear();
        for x in 0..width {
            let at = from + y * row + x * channels;
            for _ in 0..scale {
                line.extend((at..at + channels).map(value));
            }
        }
        (0..scale).for_each(|_| bytes.extend_from_slice(&line));
    }
    Ok(Pixels { width: width * scale, height: height * scale, channels, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(shape: &[usize], bytes: &[u8]) -> Array {
        Array { element: Element::U8, shape: shape.to_vec(), bytes: bytes.to_vec() }
    }

    fn floats(shape: &[usize], values: &[f32]) -> Array {
        let bytes = values.iter().flat_map(|x| x.to_ne_bytes()).collect();
        Array { element: Element::F32, shape: shape.to_vec(), bytes }
    }

    fn read_png(file: &[u8]) -> (u32, u32, png::ColorType, Vec<u8>) {
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().expect("a png");
        let mut out = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut out).expect("a picture");
        out.truncate(info.buffer_size());
        (info.width, info.height, info.color_type, out)
    }

    #[test]
    fn png_holds_what_was_written() {
        let grey = png(&bytes(&[2, 3], &[0, 1, 2, 3, 4, 255]), 1).expect("written");
        assert_eq!(read_png(&grey), (3, 2, png::ColorType::Grayscale, vec![0, 1, 2, 3, 4, 255]));
        let red = png(&floats(&[1, 1, 3], &[2.0, 0.5, -1.0]), 2).expect("written");
        assert_eq!(read_png(&red), (2, 2, png::ColorType::Rgb, [255, 128, 0].repeat(4)));
        let clear = png(&floats(&[1, 1, 4], &[1.0, f32::NAN, 0.0, 0.0]), 1).expect("written");
        assert_eq!(read_png(&clear), (1, 1, png::ColorType::Rgba, vec![255, 0, 0, 0]));
        let cells = Array { element: Element::Bool, ..bytes(&[1, 2], &[0, 1]) };
        assert_eq!(read_png(&png(&cells, 1).expect("written")).3, [0, 255]);
        assert!(png(&bytes(&[2, 2, 2], &[0; 8]), 1).is_err());
    }

    #[test]
    fn gif_holds_its_frames() {
        let file = gif(&bytes(&[3, 2, 2], &(0..12).collect::<Vec<u8>>()), 2, 30.0).expect("written");
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.clone().read_info(&file[..]).expect("a gif");
        assert_eq!((decoder.width(), decoder.height(), decoder.repeat()), (4, 4, Repeat::Infinite));
        let mut seen = Vec::new();
        let mut time = 0;
        while let Some(frame) = decoder.read_next_frame().expect("a frame") {
            seen.push(frame.buffer[0]);
            time += frame.delay;
        }
        assert_eq!((seen, time), (vec![0, 4, 8], 10));
        let colours = gif(&bytes(&[1, 1, 2, 3], &[255, 0, 0, 0, 0, 255]), 1, 20.0).expect("written");
        let mut decoder = options.read_info(&colours[..]).expect("a gif");
        let frame = decoder.read_next_frame().expect("a frame").expect("one");
        assert_eq!(&frame.buffer[..], [255, 0, 0, 255, 0, 0, 255, 255]);
    }
}
