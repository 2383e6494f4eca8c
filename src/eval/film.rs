//! Pictures of an episode, one after the other, as colours.

use whorl_core::ir::ArrayData;
use whorl_data::{Array, Element, image};

use crate::engine::element;

/// Between films side by side, and pictures of a sheet, in pixels.
const GAP: usize = 2;
const PAPER: [u8; 3] = [255; 3];
/// Pictures of a sheet: of one film, and of each of several.
const SHEET_OF_ONE: (usize, usize) = (4, 3);
const SHEET_ROW: usize = 6;

/// Frames of the same size; at least one.
#[derive(Clone)]
pub struct Film {
    pub width: usize,
    pub height: usize,
    /// Red, green and blue of each pixel, row by row.
    pub frames: Vec<Vec<u8>>,
    /// Frames a second.
    pub fps: f64,
}

impl Film {
    /// The first `count` pictures along the first axis.
    pub fn of(frames: &ArrayData, count: usize, fps: f64) -> Result<Film, String> {
        let array =
            Array { element: element(frames.ty.dtype), shape: frames.ty.shape.to_vec(), bytes: frames.bytes.clone() };
        let picture = |k: usize| image::rgb(&array, k).map_err(|e| e.to_string());
        let first = picture(0)?;
        let (width, height) = (first.width, first.height);
        let frames = (0..count.max(1)).map(|k| Ok(picture(k)?.bytes)).collect::<Result<_, String>>()?;
        Ok(Film { width, height, frames, fps })
    }

    /// One film of several. One that has ended pales, and waits for the others.
    pub fn side_by_side(films: Vec<Film>) -> Film {
        if films.len() < 2 {
            return films.into_iter().next().unwrap_or(Film {
                width: 1,
                height: 1,
                frames: vec![vec![0; 3]],
                fps: 1.0,
            });
        }
        let length = films.iter().map(|f| f.frames.len()).max().unwrap_or(1);
        let columns = (films.len() as f64).sqrt().ceil() as usize;
        let mut frames = Vec::with_capacity(length);
        let mut size = (1, 1);
        for k in 0..length {
            let cells: Vec<Vec<u8>> = films.iter().map(|f| f.at(k)).collect();
            let (width, height, bytes) = grid(&cells, films[0].width, films[0].height, columns);
            size = (width, height);
            frames.push(bytes);
        }
        Film { width: size.0, height: size.1, frames, fps: films[0].fps }
    }

    /// The frame at a time, also behind the end.
    fn at(&self, k: usize) -> Vec<u8> {
        match self.frames.get(k) {
            Some(frame) => frame.clone(),
            None => self.frames[self.frames.len() - 1].iter().map(|v| (*v as u16 * 2 / 5 + 153) as u8).collect(),
        }
    }

    /// As a `.gif` of at most so many frames a second.
    pub fn gif(&self, scale: usize, fastest: f64) -> Result<Vec<u8>, String> {
        let (kept, fps) = self.thinned(fastest);
        let shape = vec![kept.len(), self.height, self.width, 3];
        let bytes = kept.into_iter().flatten().copied().collect();
        let array = Array { element: Element::U8, shape, bytes };
        image::gif(&array, scale, fps).map_err(|e| e.to_string())
    }

    /// Of a film that is too fast only every second frame, or third, …, and the last one; with how many are a second then.
    fn thinned(&self, fastest: f64) -> (Vec<&Vec<u8>>, f64) {
        let every = (self.fps / fastest).ceil().max(1.0) as usize;
        let last = self.frames.len() - 1;
        let mut kept: Vec<&Vec<u8>> = self.frames.iter().step_by(every).collect();
        if !last.is_multiple_of(every) {
            kept.push(&self.frames[last]);
        }
        (kept, self.fps / every as f64)
    }
}

/// A few pictures of each film from its first to its last, as a `.png`: one film in rows, of several a row each.
pub fn sheet(films: &[Film], scale: usize) -> Result<Vec<u8>, String> {
    let (columns, rows) = if films.len() == 1 { SHEET_OF_ONE } else { (SHEET_ROW, 1) };
    let mut cells = Vec::new();
    for film in films {
        let shown = (columns * rows).min(film.frames.len());
        let last = film.frames.len() - 1;
        cells.extend((0..shown).map(|k| film.frames[k * last / (shown - 1).max(1)].clone()));
        // A short episode leaves the rest of its row empty.
        let blank = PAPER.repeat(film.width * film.height);
        let empty = if films.len() == 1 { 0 } else { columns - shown };
        cells.extend(std::iter::repeat_n(blank, empty));
    }
    let Some(first) = films.first() else { return Err("there is no film".to_string()) };
    let columns = columns.min(cells.len());
    let (width, height, bytes) = grid(&cells, first.width, first.height, columns);
    let array = Array { element: Element::U8, shape: vec![height, width, 3], bytes };
    image::png(&array, scale).map_err(|e| e.to_string())
}

/// Pictures of one size in rows: width, height and pixels of the whole.
fn grid(cells: &[Vec<u8>], width: usize, height: usize, columns: usize) -> (usize, usize, Vec<u8>) {
    let rows = cells.len().div_ceil(columns);
    let (w, h) = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP);
    let mut out = PAPER.repeat(w * h);
    for (k, cell) in cells.iter().enumerate() {
        let (x, y) = (k % columns * (width + GAP), k / columns * (height + GAP));
        for (row, line) in cell.chunks(width * 3).enumerate() {
            let at = ((y + row) * w + x) * 3;
            out[at..at + line.len()].copy_from_slice(line);
        }
    }
    (w, h, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(values: &[u8]) -> Film {
        Film { width: 1, height: 1, frames: values.iter().map(|v| vec![*v; 3]).collect(), fps: 100.0 }
    }

    #[test]
    fn films_stand_side_by_side() {
        let both = Film::side_by_side(vec![film(&[10, 20, 30]), film(&[100])]);
        assert_eq!((both.width, both.height, both.frames.len()), (4, 1, 3));
        let greys = |k: usize| both.frames[k].iter().step_by(3).copied().collect::<Vec<u8>>();
        assert_eq!(greys(0), [10, 255, 255, 100]);
        // The second has ended, and is pale.
        assert_eq!(greys(2), [30, 255, 255, 193]);
    }

    #[test]
    fn a_fast_film_is_thinned() {
        let film = film(&[0, 1, 2, 3, 4, 5]);
        let (kept, fps) = film.thinned(50.0);
        assert_eq!((kept.iter().map(|f| f[0]).collect::<Vec<u8>>(), fps), (vec![0, 2, 4, 5], 50.0));
        assert_eq!(film.thinned(100.0).0.len(), 6);
    }
}
