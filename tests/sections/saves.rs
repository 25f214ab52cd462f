//! What a visitor saves of a run, read by other programs.

use super::Browser;
use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use noisette::engine::Kind;
use noisette::rng::Rng;
use noisette::web::app::{Effect, Message};
use noisette::web::link;
use noisette::web::save::raster::{Raster, factor};
use noisette::web::save::{File, What, gif, lzw, png as our_png};
use std::io::Cursor;
use std::time::Duration;

const ADDRESS: &str = "https://example.org/noisette/";

/// Pixels by chance, some of them in runs.
fn raster(rng: &mut Rng, [width, height, channels]: [usize; 3]) -> Raster {
    let mut bytes = Vec::new();
    while bytes.len() < width * height * channels {
        let (byte, times) = (rng.u32() as u8, 1 + rng.below(7) * rng.below(60));
        bytes.extend(std::iter::repeat_n(byte, times));
    }
    bytes.truncate(width * height * channels);
    Raster { width, height, channels, bytes }
}

/// A PNG's texts by keyword.
fn texts(bytes: &[u8]) -> Vec<(String, String)> {
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().expect("a PNG");
    let texts = &reader.info().utf8_text;
    texts.iter().map(|text| (text.keyword.clone(), text.get_text().expect("a text"))).collect()
}

fn saved(browser: &mut Browser, what: What) -> File {
    browser.effects();
    browser.tell(Message::Save(what, ADDRESS.to_owned()));
    let files = browser.effects().into_iter().filter_map(|effect| match effect {
        Effect::Save(file) => Some(file),
        _ => None,
    });
    let mut files: Vec<File> = files.collect();
    assert_eq!(files.len(), 1, "{}", browser.status());
    files.remove(0)
}

/// A page with a run of four steps.
fn done() -> Browser {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.control("count", "7");
    browser.tell(Message::Generate(Ok(1)));
    (1..=4).for_each(|step| browser.step(step));
    browser.done();
    browser
}

#[test]
fn a_png_of_any_pixels_is_read_again_and_its_texts_too() {
    let mut rng = Rng::new(1);
    for size in [[1, 1, 1], [1, 1, 3], [37, 5, 1], [300, 40, 3], [1120, 30, 1]] {
        let raster = raster(&mut rng, size);
        let bytes = our_png::encode(&raster, &[("Title", "ε̂ and η"), ("Source", "")]);
        let read = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png).expect("a PNG");
        let pixels = if size[2] == 1 { read.to_luma8().into_raw() } else { read.to_rgb8().into_raw() };
        assert_eq!((read.width() as usize, read.height() as usize), (size[0], size[1]));
        assert!(pixels == raster.bytes, "{size:?}");
        assert_eq!(usize::from(read.color().channel_count()), size[2]);
        let expected = [("Title", "ε̂ and η"), ("Source", "")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(texts(&bytes), expected);
    }
}

/// The frames of a GIF: how long each is shown, and its pixels, RGBA.
fn frames(bytes: &[u8]) -> Vec<(Duration, Vec<u8>)> {
    let frames = GifDecoder::new(Cursor::new(bytes)).expect("a GIF").into_frames().collect_frames();
    let frame = |frame: image::Frame| (frame.delay().into(), frame.into_buffer().into_raw());
    frames.expect("frames").into_iter().map(frame).collect()
}

#[test]
fn a_gif_of_greys_is_read_again_to_the_pixel() {
    let mut rng = Rng::new(2);
    // The last fills the dictionary several times over; those of a few pixels end where codes grow.
    let sizes = (1..=20).map(|i| [i, 1, 1]).chain((250..=270).map(|i| [i, 1, 1])).chain([[400, 300, 1]]);
    for size in sizes {
        let pictures = [raster(&mut rng, size), raster(&mut rng, size)];
        let noise = Raster { bytes: (0..size[0] * size[1]).map(|_| rng.u32() as u8).collect(), ..pictures[0].clone() };
        let all = [pictures[0].clone(), noise, pictures[1].clone()];
        let bytes = gif::encode(all.iter().cloned().zip([20, 2, 150]), "a link").expect("a GIF");
        let read = frames(&bytes);
        assert_eq!(read.iter().map(|frame| frame.0.as_millis()).collect::<Vec<_>>(), [200, 20, 1500]);
        for (picture, (_, rgba)) in all.iter().zip(&read) {
            let grey: Vec<u8> = rgba.chunks_exact(4).map(|pixel| pixel[0]).collect();
            assert!(grey == picture.bytes, "{size:?}");
            assert!(rgba.chunks_exact(4).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2] && pixel[3] == 255));
        }
        assert!(bytes.windows(6).any(|part| part == b"a link"));
    }
    assert_eq!(gif::encode([], ""), None);
}

#[test]
fn codes_grow_and_end_where_who_reads_expects_it() {
    // Every length up to where the dictionary is full and begun anew: pixels that repeat nothing give a code each.
    let noise: Vec<u8> = (0..9000_u32).map(|i| (i.wrapping_mul(0x9E37_79B1) >> 13) as u8).collect();
    for length in (0..600).chain(3580..3860).chain([8999]) {
        let data = lzw::encode(&noise[..length]);
        assert!(data.len() * 8 >= 9 * 2, "it begins and ends");
        let raster = Raster { width: length.max(1), height: 1, channels: 1, bytes: noise[..length.max(1)].to_vec() };
        let read = frames(&gif::encode([(raster, 2)], "").expect("a GIF"));
        let grey: Vec<u8> = read[0].1.chunks_exact(4).map(|pixel| pixel[0]).collect();
        assert!(grey == noise[..length.max(1)], "{length} pixels");
    }
}

#[test]
fn a_gif_of_colours_has_the_nearest_of_its_palette() {
    let raster = raster(&mut Rng::new(3), [60, 50, 3]);
    let read = frames(&gif::encode([(raster.clone(), 5)], "").expect("a GIF"));
    for (pixel, shown) in raster.bytes.chunks_exact(3).zip(read[0].1.chunks_exact(4)) {
        for ((value, shown), most) in pixel.iter().zip(shown).zip([26, 22, 26]) {
            assert!(value.abs_diff(*shown) <= most, "{pixel:?} is shown as {shown:?}");
        }
    }
    let corners = Raster { width: 2, height: 1, channels: 3, bytes: vec![0, 0, 0, 255, 255, 255] };
    let read = frames(&gif::encode([(corners, 5)], "").expect("a GIF"));
    assert_eq!(read[0].1, [0, 0, 0, 255, 255, 255, 255, 255], "black and white are exact");
}

#[test]
fn the_pictures_shown_are_saved_with_what_made_them() {
    let mut browser = done();
    let made = link::write_run(browser.settings());
    // What the controls say by now made none of them.
    browser.control("seed", "99");
    let file = saved(&mut browser, What::Pictures);
    assert_eq!((file.name.as_str(), file.kind), ("noisette-digits-seed-6.png", "image/png"));
    assert_eq!(browser.status(), "noisette-digits-seed-6.png goes to your downloads.");
    let grid = browser.app.generate.grid.clone().expect("a grid");
    let read = image::load_from_memory(&file.bytes).expect("a PNG").to_luma8();
    assert_eq!(read.dimensions(), (4 * 196, 2 * 196), "seven times larger");
    for (x, y, pixel) in read.enumerate_pixels() {
        let [x, y] = [x, y].map(|at| at as usize / 7);
        let at = (y / 28 * 4 + x / 28) * 784 + y % 28 * 28 + x % 28;
        assert_eq!(pixel.0[0], grid.bytes.get(at).copied().unwrap_or(255), "({x}, {y})");
    }
    let texts = texts(&file.bytes);
    assert_eq!(texts[0], ("Title".to_owned(), "7 pictures by Noisette".to_owned()));
    assert!(texts[1].1.starts_with("each class in turn, DPM-Solver++, 4 steps, "), "{texts:?}");
    assert!(texts[1].1.ends_with("seed 6, 7 pictures, the teacher; step 4 of 4"), "{texts:?}");
    assert_eq!(texts[2], ("Source".to_owned(), format!("{ADDRESS}{made}")));
    assert!(file.bytes.len() < 60_000, "{} bytes", file.bytes.len());
    // An earlier step says so.
    browser.tell(Message::Scrub(2));
    assert_eq!(saved(&mut browser, What::Pictures).name, "noisette-digits-seed-6-step-2.png");
}

#[test]
fn the_run_is_saved_as_a_gif_of_its_steps() {
    let mut browser = done();
    let file = saved(&mut browser, What::Run);
    assert_eq!((file.name.as_str(), file.kind), ("noisette-digits-seed-6.gif", "image/gif"));
    let read = frames(&file.bytes);
    assert_eq!(read.iter().map(|frame| frame.0.as_millis()).collect::<Vec<_>>(), [200, 200, 200, 200, 1500]);
    let record = &browser.app.generate.run.as_ref().expect("a run").record;
    for ((_, rgba), recorded) in read.iter().zip(record) {
        let grey: Vec<u8> = rgba.chunks_exact(4).map(|pixel| pixel[0]).collect();
        assert!(grey == Raster::of(&recorded.pixels, factor(&recorded.pixels)).bytes, "step {}", recorded.step);
    }
    // A long run is smaller, and of no more pixels in all than one that a browser makes in a moment.
    browser.control("count", "16");
    browser.control("sampler", "ddpm");
    browser.control("steps", "300");
    browser.tell(Message::Generate(Ok(1)));
    (1..=300).for_each(|step| browser.step(step));
    browser.done();
    let file = saved(&mut browser, What::Run);
    let size = [6, 8].map(|at| usize::from(u16::from_le_bytes([file.bytes[at], file.bytes[at + 1]])));
    assert_eq!((size, frames(&file.bytes).len()), ([2 * 112; 2], 301));
}

#[test]
fn the_settings_are_saved_under_the_names_of_links() {
    let mut browser = done();
    let file = saved(&mut browser, What::Settings);
    assert_eq!((file.name.as_str(), file.kind), ("noisette-digits-seed-6.json", "application/json"));
    let read: serde_json::Value = serde_json::from_slice(&file.bytes).expect("JSON");
    assert_eq!(read["link"], format!("{ADDRESS}{}", link::write_run(browser.settings())));
    let settings = read["settings"].as_object().expect("settings");
    for (key, value) in [("seed", 6), ("steps", 4), ("count", 7)] {
        assert_eq!(settings[key], value, "{key}");
    }
    assert_eq!((&settings["model"], &settings["class"]), (&"digits".into(), &"each".into()));
    assert!(!settings.contains_key("t") && settings.contains_key("spacing") && settings.len() == 10, "{settings:?}");
}

#[test]
fn before_a_run_there_is_nothing_to_save_and_what_the_browser_refuses_is_said() {
    let mut browser = Browser::ready(1, Kind::Cpu);
    browser.effects();
    browser.tell(Message::Save(What::Run, ADDRESS.to_owned()));
    assert_eq!(browser.status(), "Error: there is nothing to save before a run.");
    assert!(browser.effects().is_empty());
    // While it goes on there is what it has.
    browser.tell(Message::Generate(Ok(1)));
    assert_eq!(saved(&mut browser, What::Pictures).name, "noisette-digits-seed-6-step-0.png");
    browser.tell(Message::Stop);
    assert_eq!(frames(&saved(&mut browser, What::Run).bytes).len(), 1);
    browser.tell(Message::NotSaved("the browser does not take a.png: no".to_owned()));
    assert_eq!(browser.status(), "Error: the browser does not take a.png: no.");
}
