//! Arrays as pictures: `.png` of one, `.gif` of several that follow each other.
//!
//! A picture is `[height, width]` (grey, from black to white) or `[height, width, 3]` or `[…, 4]` (red, green, blue and how
//! opaque). Numbers with a point go from 0 to 1 and are clamped; NaN is 0. A `bool` is black or white.

use std::borrow::Cow;
use std::collections::HashMap;
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
    let mut before = Vec::new();
    for k in 0..frames {
        let mut picture = pixels(a, shape, k, scale)?;
        let mut frame = match picture.channels {
            1 => Frame { width, height, buffer: Cow::Borrowed(&picture.bytes), ..Frame::default() },
            3 => changed(&before, &picture.bytes, width, height)
                .unwrap_or_else(|| Frame::from_rgb_speed(width, height, &picture.bytes, QUALITY)),
            _ => Frame::from_rgba_speed(width, height, &mut picture.bytes, QUALITY),
        };
        // What a frame leaves clear would else show the one before.
        frame.dispose = if picture.channels == 4 { DisposalMethod::Background } else { DisposalMethod::Keep };
        frame.delay = delay(k, per_second);
        encoder.write_frame(&frame).map_err(io::Error::other)?;
        before = picture.bytes;
    }
    drop(encoder);
    Ok(out)
}

/// Red, green and blue of each pixel, row by row.
pub struct Rgb {
    pub width: usize,
    pub height: usize,
    pub bytes: Vec<u8>,
}

/// Picture `k` of those along the first axis, on white where it is clear.
pub fn rgb(a: &Array, k: usize) -> io::Result<Rgb> {
    let Some((&pictures, shape)) = a.shape.split_first() else { return Err(io::Error::other("no pictures")) };
    if k >= pictures {
        return Err(io::Error::other(format!("there is no picture {k} of {pictures}")));
    }
    let Pixels { width, height, channels, bytes } = pixels(a, shape, k, 1)?;
    let on_white = |v: u8, alpha: u8| ((v as u32 * alpha as u32 + 255 * (255 - alpha as u32) + 127) / 255) as u8;
    let bytes = match channels {
        1 => bytes.iter().flat_map(|v| [*v; 3]).collect(),
        3 => bytes,
        _ => bytes.chunks(4).flat_map(|p| [p[0], p[1], p[2]].map(|v| on_white(v, p[3]))).collect(),
    };
    Ok(Rgb { width, height, bytes })
}

/// The part of a picture of colours that is not as before, which may be nothing at all, where it is clear; `None` where it
/// has too many colours to keep them as they are.
fn changed(before: &[u8], now: &[u8], width: u16, height: u16) -> Option<Frame<'static>> {
    const CLEAR: u8 = 255;
    let row = 3 * width as usize;
    let same = |at: usize| before.get(at..at + 3) == Some(&now[at..at + 3]);
    let (mut left, mut right, mut top, mut bottom) = (width as usize, 0, height as usize, 0);
    for y in 0..height as usize {
        let line = y * row..(y + 1) * row;
        if before.get(line.clone()) == Some(&now[line]) {
            continue;
        }
        let differs = |x: &usize| !same(y * row + 3 * x);
        left = (0..left).find(differs).unwrap_or(left);
        right = (right..width as usize).rev().find(differs).map_or(right, |x| x + 1);
        (top, bottom) = (top.min(y), y + 1);
    }
    if bottom == 0 {
        (left, right, top, bottom) = (0, 1, 0, 1);
    }
    let (mut indices, mut palette) = (HashMap::new(), Vec::new());
    let mut buffer = Vec::with_capacity((right - left) * (bottom - top));
    for y in top..bottom {
        for x in left..right {
            let at = y * row + 3 * x;
            let colour = [now[at], now[at + 1], now[at + 2]];
            let index = match indices.get(&colour) {
                _ if same(at) => CLEAR,
                Some(index) => *index,
                None if indices.len() == CLEAR as usize => return None,
                None => {
                    palette.extend(colour);
                    let index = indices.len() as u8;
                    indices.insert(colour, index);
                    index
                }
            };
            buffer.push(index);
        }
    }
    // The place behind the colours is that of the clear one: the fewer there are, the smaller is the file.
    let clear = indices.len() as u8;
    buffer.iter_mut().filter(|i| **i == CLEAR).for_each(|i| *i = clear);
    palette.extend([0; 3]);
    Some(Frame {
        left: left as u16,
        top: top as u16,
        width: (right - left) as u16,
        height: (bottom - top) as u16,
        buffer: Cow::Owned(buffer),
        palette: Some(palette),
        transparent: Some(clear),
        ..Frame::default()
    })
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
    fn only_what_changes_of_colours_is_written() {
        let mut film = vec![9u8; 2 * 4 * 5 * 3];
        // One pixel of the second picture, in row 2 and column 3.
        film[60 + 3 * (2 * 5 + 3)..][..3].copy_from_slice(&[1, 2, 3]);
        let file = gif(&bytes(&[2, 4, 5, 3], &film), 1, 20.0).expect("written");
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(&file[..]).expect("a gif");
        let first = decoder.read_next_frame().expect("a frame").expect("one").clone();
        assert_eq!((first.width, first.height, &first.buffer[..4]), (5, 4, &[9, 9, 9, 255][..]));
        let second = decoder.read_next_frame().expect("a frame").expect("another").clone();
        assert_eq!((second.left, second.top, second.width, second.height), (3, 2, 1, 1));
        assert_eq!(&second.buffer[..], [1, 2, 3, 255]);
        // Of more colours than there is room for, the nearest are taken.
        let many: Vec<u8> = (0..400u32).flat_map(|k| [(k / 20 * 12) as u8, (k % 20 * 12) as u8, 0]).collect();
        assert!(gif(&bytes(&[1, 20, 20, 3], &many), 1, 20.0).is_ok());
    }

    #[test]
    fn all_pictures_have_colours() {
        let bytes_of = |a: &Array, k: usize| rgb(a, k).expect("a picture").bytes;
        assert_eq!(bytes_of(&bytes(&[2, 1, 1], &[7, 9]), 1), [9, 9, 9]);
        assert_eq!(bytes_of(&floats(&[1, 1, 1, 3], &[1.0, 0.5, 0.0]), 0), [255, 128, 0]);
        assert_eq!(bytes_of(&bytes(&[1, 1, 2, 4], &[10, 0, 0, 255, 10, 20, 30, 0]), 0), [10, 0, 0, 255, 255, 255]);
        assert!(rgb(&bytes(&[2, 1, 1], &[7, 9]), 2).is_err());
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
