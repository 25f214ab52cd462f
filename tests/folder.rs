//! A folder of pictures as a data set: classes, halves, sizes, colours, and every way in which it can be bad.
#![cfg(not(target_arch = "wasm32"))]

#[path = "support/jpeg.rs"]
mod jpeg;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use jpeg::Scans;
use noisette::data::fit::{self, Pixels};
use noisette::data::{ImageFolder, Split, fill_x0};
use noisette::diffusion::forward::from_pixel;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn place(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        path
    }

    /// A picture of one colour, 6 wide and 4 high.
    fn picture(&self, name: &str, color: [u8; 3]) {
        RgbImage::from_pixel(6, 4, Rgb(color)).save_with_format(self.place(name), ImageFormat::Png).expect("a PNG");
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.place(name), bytes).expect("it can be written");
    }

    fn open(&self, split: Split) -> Result<ImageFolder, String> {
        ImageFolder::open(self.0.path(), split).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(&self, split: Split, parts: &[&str]) {
        let text = self.open(split).expect_err("it is refused");
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}

#[test]
fn sub_folders_are_classes_and_every_twentieth_picture_is_a_test() {
    let folder = Folder::new();
    for i in 0..41 {
        folder.picture(&format!("b cats/{i:02}.png"), [i, 0, 0]);
        if i < 7 {
            folder.picture(&format!("a dogs/{i:02}.PNG"), [100 + i, 0, 0]);
        }
    }
    folder.write("b cats/.hidden.png", b"");
    folder.write("b cats/notes.txt", b"");
    folder.write("licence.txt", b"");
    let train = folder.open(Split::Train).expect("a data set");
    assert_eq!(train.classes(), ["a dogs", "b cats"]);
    assert_eq!((train.len(), train.is_empty()), (46, false));
    let train = train.load([4, 6], 3).expect("pictures");
    let reds = |images: &[u8]| images.chunks(72).map(|image| image[0]).collect::<Vec<_>>();
    let kept = (0..41).filter(|i| i % 20 != 19);
    assert_eq!(reds(&train.images), (100..107).chain(kept).collect::<Vec<_>>());
    assert_eq!(train.labels, [vec![0; 7], vec![1; 39]].concat());
    let test = folder.open(Split::Test).expect("a data set").load([4, 6], 3).expect("pictures");
    assert_eq!((reds(&test.images), test.labels), (vec![19, 39], vec![1, 1]));
}

#[test]
fn train_and_test_are_the_halves() {
    let folder = Folder::new();
    for class in ["x", "y", "z"] {
        (0..25).for_each(|i| folder.picture(&format!("train/{class}/{i}.png"), [1; 3]));
    }
    folder.picture("test/z/0.png", [2; 3]);
    folder.picture("test/y/0.png", [3; 3]);
    assert_eq!(folder.open(Split::Train).expect("all of train").len(), 75);
    let test = folder.open(Split::Test).expect("all of test");
    assert_eq!(test.classes(), ["x", "y", "z"], "numbered as in training");
    assert_eq!(test.load([4, 6], 1).expect("pictures").labels, [1, 2]);
    folder.picture("test/w/0.png", [2; 3]);
    folder.refused(Split::Test, &["test/w", "unknown", "x, y, z"]);
}

#[test]
fn the_halves_go_by_several_names() {
    for (train, test) in [
        ("Train", "Test"),
        ("training", "testing"),
        ("train", "val"),
        ("TRAIN", "Valid"),
        ("train", "validation"),
        ("train", "dev"),
        ("training_set", "test_set"),
        ("trainset", "testset"),
        ("train-set", "Dev Set"),
    ] {
        let folder = Folder::new();
        folder.picture(&format!("{train}/1.png"), [1; 3]);
        folder.picture(&format!("{train}/2.png"), [2; 3]);
        folder.picture(&format!("{test}/3.png"), [3; 3]);
        let counts = [Split::Train, Split::Test].map(|split| folder.open(split).expect("a half"));
        assert_eq!(counts.map(|half| (half.len(), half.classes().len())), [(2, 0), (1, 0)], "{train}, {test}");
        folder.picture("bus/1.png", [1; 3]);
        folder.refused(Split::Train, &[&format!("bus lies beside {train}/ and {test}/")]);
    }
    // Tests are preferred to what a run may have been steered by, which is told; so are pictures beside the halves.
    let folder = Folder::new();
    for half in ["train", "test", "val"] {
        folder.picture(&format!("{half}/1.png"), [1; 3]);
    }
    folder.picture("cover.png", [1; 3]);
    let (summary, left_out) = folder.open(Split::Test).expect("a half").summary();
    assert!(summary.starts_with("1 test picture from ") && summary.ends_with("/test: 1 PNG"), "{summary}");
    let left_out = left_out.expect("something");
    assert_eq!(left_out, "1 .png file (beside the halves), val/ (train/ and test/ are the halves)");
    // Which of two is meant nobody can know.
    folder.picture("training/1.png", [1; 3]);
    folder.refused(Split::Test, &["has both train/ and training/", "the training half"]);
    let folder = Folder::new();
    folder.picture("validation/1.png", [1; 3]);
    folder.refused(Split::Train, &["has validation/ but no train/"]);
}

#[test]
fn pictures_are_known_by_their_content_and_the_rest_is_counted() {
    let folder = Folder::new();
    let photo = DynamicImage::from(RgbImage::from_pixel(6, 4, Rgb([200, 30, 60])));
    let kinds = [
        ("a.jfif", ImageFormat::Jpeg),
        ("b.JPE", ImageFormat::Jpeg),
        ("c.jpg_large", ImageFormat::Jpeg),
        ("d", ImageFormat::Png),
        ("e.gif", ImageFormat::Gif),
        ("f.webp", ImageFormat::WebP),
        ("g.bmp", ImageFormat::Bmp),
        ("h.png", ImageFormat::WebP),
    ];
    for (name, format) in kinds {
        photo.save_with_format(folder.place(name), format).expect("a picture");
    }
    folder.write("i.jxl", b"\xff\x0a\0\0");
    folder.write("j.jxl", b"");
    folder.write("k.pgm", b"P5 8 8 255\n");
    folder.write("l.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    // As PIL begins one: no first bytes tell a TGA.
    folder.write("m.tga", b"\0\0\x02\0\0\0\0\0\0\0\0\0\x04\0\x04\0\x18\x20");
    folder.write("notes.txt", b"none");
    folder.write("LICENCE", b"none");
    for litter in [".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/._a.jpg", "@eaDir/a.png"] {
        folder.write(litter, b"litter");
    }
    let images = folder.open(Split::Train).expect("a data set");
    assert_eq!((images.len(), images.classes().len()), (8, 0));
    let (summary, left_out) = images.summary();
    assert!(summary.starts_with("8 training pictures from "), "{summary}");
    assert!(summary.ends_with(", all but every 20th: 1 PNG, 3 JPEG, 1 GIF, 2 WebP, 1 BMP"), "{summary}");
    assert_eq!(
        left_out.expect("some"),
        "1 .jpg file (HEIC cannot be read), 2 .jxl files (JPEG XL cannot be read), 1 .pgm file (PNM cannot be read), \
         1 .tga file (TGA cannot be read), 1 .txt file (no picture), 1 file without an ending (no picture)"
    );
    let pictures = images.load([4, 6], 3).expect("all are read");
    for i in 0..8 {
        let near =
            pictures.image(i).chunks(3).all(|pixel| pixel.iter().zip([200, 30, 60]).all(|(a, b)| a.abs_diff(b) <= 3));
        assert!(near, "{}: {:?}", kinds[i].0, &pictures.image(i)[..9]);
    }
    assert_eq!(images.survey().expect("headers"), (Some([4, 6]), false));
}

#[test]
fn an_accent_is_the_same_however_it_is_written() {
    let folder = Folder::new();
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (class, count) in [(composed, 2), (decomposed, 3), ("th\u{e9}", 1)] {
        (0..count).for_each(|i| folder.picture(&format!("train/{class}/{i}.png"), [1; 3]));
    }
    folder.picture(&format!("test/{decomposed}/0.png"), [1; 3]);
    let train = folder.open(Split::Train).expect("a data set");
    assert_eq!(train.classes(), [composed, "th\u{e9}"]);
    assert_eq!(train.load([2, 2], 1).expect("pictures").labels, [0, 0, 0, 0, 0, 1]);
    let (summary, _) = train.summary();
    let merged = format!("; the class {composed} is 2 folders, whose names differ only in how accents are written");
    assert!(summary.ends_with(&merged), "{summary}");
    let mut test = folder.open(Split::Test).expect("the same class");
    assert!(!test.summary().0.contains("accents"));
    assert_eq!(test.load([2, 2], 1).expect("pictures").labels, [0]);
    // A model that was trained elsewhere may write it the other way.
    test.number_as(&["th\u{e9}", decomposed].map(str::to_owned)).expect("both are known");
    assert_eq!(test.load([2, 2], 1).expect("pictures").labels, [1]);
}

#[test]
fn a_jpeg_shows_the_same_whatever_the_order_of_its_scans() {
    let folder = Folder::new();
    let blocks: Vec<[u8; 3]> = (0..20).map(|i| [40 + 9 * i, 90 + 4 * i, 170 - 5 * i]).collect();
    for (name, scans) in [("1.jpg", Scans::Interleaved), ("2.jpg", Scans::Separate), ("3.jpg", Scans::Progressive)] {
        folder.write(name, &jpeg::blocks(5, &blocks, scans));
    }
    let images = folder.open(Split::Train).expect("a data set");
    assert_eq!(images.survey().expect("headers"), (Some([32, 40]), false));
    let pictures = images.load([32, 40], 3).expect("pictures");
    // JFIF's colours, in the middle of each block.
    for (i, &[y, cb, cr]) in blocks.iter().enumerate() {
        let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
        let expected = [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb];
        for picture in 0..3 {
            let at = ((i / 5 * 8 + 4) * 40 + i % 5 * 8 + 4) * 3;
            let found = &pictures.image(picture)[at..at + 3];
            let near = found.iter().zip(expected).all(|(&a, b)| (f64::from(a) - b.clamp(0.0, 255.0)).abs() <= 2.0);
            assert!(near, "picture {picture}, block {i}: {found:?}, expected {expected:?}");
        }
    }
    // Whatever the scans, a part is no picture.
    for scans in [Scans::Interleaved, Scans::Separate, Scans::Progressive] {
        let whole = jpeg::blocks(5, &blocks, scans);
        folder.write("2.jpg", &whole[..whole.len() * 3 / 4]);
        let images = folder.open(Split::Train).expect("listed");
        for error in [images.load([4, 4], 3).map(drop), images.survey().map(drop)] {
            let text = error.expect_err("a part").to_string();
            assert!(text.contains("2.jpg does not decode: the file ends in the middle"), "{scans:?}: {text}");
        }
    }
}

/// Some kilobytes that would be gigabytes.
#[test]
fn a_picture_that_takes_too_much_memory_is_refused() {
    let folder = Folder::new();
    GrayImage::new(8, 8).save(folder.place("1.png")).expect("a PNG");
    let mut bomb = fs::read(folder.place("1.png")).expect("it");
    let size = 16_000u32.to_be_bytes();
    bomb[16..20].copy_from_slice(&size);
    bomb[20..24].copy_from_slice(&size);
    folder.write("1.png", &bomb);
    let text = folder.open(Split::Train).expect("listed").load([4, 4], 3).expect_err("too much").to_string();
    assert!(
        text.contains("1.png does not decode: its 16000×16000 pixels") && text.contains("at most 512 MiB"),
        "{text}"
    );
}

#[test]
fn half_a_data_set_is_told_from_a_class_of_trains() {
    for (found, missing) in [("train", "test"), ("test", "train")] {
        let folder = Folder::new();
        folder.picture(&format!("{found}/1.png"), [1; 3]);
        let text = format!("has {found}/ but no {missing}/");
        for split in [Split::Train, Split::Test] {
            folder.refused(split, &[&text, "both halves, or neither"]);
        }
        // Among other things that drive it is a class, and has no classes of its own.
        folder.picture("bus/1.png", [1; 3]);
        assert_eq!(folder.open(Split::Train).expect("a data set").classes(), ["bus", found]);
        folder.picture(&format!("{found}/cats/1.png"), [1; 3]);
        let nested = format!("{found}/cats is a folder inside a class folder");
        folder.refused(Split::Train, &[&nested, &format!("{found}/ needs {missing}/ beside it")]);
    }
}

#[test]
fn any_size_and_colour_becomes_what_the_model_takes() {
    let folder = Folder::new();
    // A wide picture, black left and right of a white middle; the crop is the middle.
    let wide = RgbImage::from_fn(90, 30, |x, _| Rgb([if (30..60).contains(&x) { 255 } else { 0 }; 3]));
    wide.save(folder.place("1.png")).expect("a PNG");
    GrayImage::from_pixel(17, 40, Luma([77])).save(folder.place("2.png")).expect("a PNG");
    RgbaImage::from_pixel(8, 8, Rgba([0, 0, 0, 0])).save(folder.place("3.png")).expect("a PNG");
    let photo = DynamicImage::from(RgbImage::from_pixel(50, 40, Rgb([200, 30, 60])));
    // What a file is, its bytes tell.
    photo.save_with_format(folder.place("4.png"), ImageFormat::Jpeg).expect("a JPEG");
    let images = folder.open(Split::Train).expect("a data set");
    assert_eq!((images.classes().len(), images.len()), (0, 4));
    assert_eq!(images.survey().expect("headers"), (None, false));
    let colour = images.load([10, 10], 3).expect("pictures");
    assert_eq!((colour.height, colour.width, colour.channels, colour.len()), (10, 10, 3, 4));
    let near = |found: &[u8], expected: [u8; 3]| {
        found.chunks(3).all(|pixel| pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 3))
    };
    for (i, expected) in [[255; 3], [77; 3], [255; 3], [200, 30, 60]].into_iter().enumerate() {
        assert!(near(colour.image(i), expected), "picture {i} is {:?}", &colour.image(i)[..9]);
    }
    let grey = images.load([6, 3], 1).expect("pictures");
    assert_eq!((grey.image_len(), grey.image(1)), (18, &[77; 18][..]));
    // A grey data set of one size is known as one.
    let folder = Folder::new();
    GrayImage::new(8, 12).save(folder.place("a/1.png")).expect("a PNG");
    assert_eq!(folder.open(Split::Train).expect("it").survey().expect("headers"), (Some([12, 8]), true));
}

/// The page has the pixels of a file from a browser, always as RGBA.
#[test]
fn a_visitors_picture_is_the_x_0_that_training_makes_of_it() {
    let colour = |x: u32, y: u32| [(x * 37 + y * 11) as u8, (x * 5 + y * 91) as u8, (x * y * 7) as u8];
    let rgba = |h: u32, w: u32| {
        let pixel = |x: u32, y: u32| {
            let [r, g, b] = colour(x, y);
            Rgba([r, g, b, [255, 0, 130][((x + y) % 3) as usize]])
        };
        DynamicImage::from(RgbaImage::from_fn(w, h, pixel))
    };
    let rgb = |h: u32, w: u32| DynamicImage::from(RgbImage::from_fn(w, h, |x, y| Rgb(colour(x, y))));
    let grey = |h: u32, w: u32| DynamicImage::from(GrayImage::from_fn(w, h, |x, y| Luma([colour(x, y)[0]])));
    // As large, odd, larger, smaller, high, wide.
    let pictures = [rgb(16, 24), rgba(37, 51), grey(101, 67), rgb(5, 7), rgba(90, 9), grey(3, 80)];
    let folder = Folder::new();
    for (i, picture) in pictures.iter().enumerate() {
        picture.save_with_format(folder.place(&format!("{i}.png")), ImageFormat::Png).expect("a PNG");
    }
    let folder = folder.open(Split::Train).expect("pictures");
    for (size, channels) in [([16, 24], 3), ([16, 24], 1), ([32, 32], 3), ([32, 32], 1)] {
        let data = folder.load(size, channels).expect("pictures");
        for (i, picture) in pictures.iter().enumerate() {
            let mut trained = vec![0.0; data.image_len()];
            fill_x0(&data, &[i], &mut trained);
            let pixels = picture.to_rgba8();
            let (h, w) = (pixels.height() as usize, pixels.width() as usize);
            let pixels = Pixels::new(&pixels, [h, w], 4).expect("a picture");
            assert_eq!(fit::x_0(&pixels, size, channels), trained, "picture {i} as {size:?}×{channels}");
            // The page decodes no more than is seen.
            let part = fit::part([h, w], size);
            let image = picture.crop_imm(part.left as u32, part.top as u32, part.width as u32, part.height as u32);
            let image = image.to_rgba8();
            let pixels = Pixels::new(&image, [part.height, part.width], 4).expect("a picture");
            let part: Vec<f32> = fit::fit_part(&pixels, size, channels).into_iter().map(from_pixel).collect();
            assert_eq!(part, trained, "the part of picture {i} as {size:?}×{channels}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_the_name_of_the_file() {
    let folder = Folder::new();
    folder.refused(Split::Train, &["holds no training images", "PNG, JPEG, GIF, WebP or BMP"]);
    folder.picture("cats/1.png", [1; 3]);
    fs::create_dir(folder.0.path().join("dogs")).expect("a folder");
    folder.refused(Split::Train, &["class folder", "dogs is empty"]);
    folder.write("dogs/rex.jxl", b"\xff\x0a");
    folder.write("dogs/rex.txt", b"woof");
    let found = "; found 1 .jxl file (JPEG XL cannot be read), 1 .txt file (no picture)";
    folder.refused(Split::Train, &["class folder", "dogs is empty", found]);
    folder.write("dogs/rex.png", b"woof");
    let images = folder.open(Split::Train).expect("listed but not decoded");
    for error in [images.load([4, 4], 3).map(drop), images.survey().map(drop)] {
        let text = error.expect_err("it is no picture").to_string();
        assert!(text.contains("rex.png does not decode"), "{text}");
    }
    // A PNG cut short in its data, and an empty file.
    folder.picture("dogs/rex.png", [9; 3]);
    let whole = fs::read(folder.0.path().join("dogs/rex.png")).expect("a PNG");
    for length in [0, 5, whole.len() - 20] {
        folder.write("dogs/rex.png", &whole[..length]);
        let text = folder.open(Split::Train).expect("listed").load([4, 4], 3).expect_err("cut").to_string();
        assert!(text.contains("rex.png does not decode"), "{length} bytes: {text}");
    }
    folder.write("dogs/rex.png", &whole);
    folder.refused(Split::Test, &["holds no test images", "20 pictures"]);
    folder.picture("stray.png", [1; 3]);
    folder.refused(Split::Train, &["stray.png", "beside the class folders"]);
    // A folder that holds the data set is named; which of two holds it nobody can know.
    for (files, place) in [
        (&["ds/a/0.png", "ds/b/0.png"][..], "ds"),
        (&["ds/a/0.png"], "ds"),
        (&["root/ds/a/0.png", "root/ds/b/0.png"], "root/ds"),
        (&["root/ds/train/0.png", "root/ds/test/0.png"], "root/ds"),
        (&["images/train/0.png", "images/test/0.png", "labels/0.png"], "images"),
    ] {
        let folder = Folder::new();
        files.iter().for_each(|file| folder.picture(file, [1; 3]));
        let given = folder.0.path().join(place).display().to_string();
        folder.refused(Split::Train, &["is a folder inside a class folder", &format!(": give {given} instead")]);
    }
    // What nobody would look at is told, not passed over.
    let folder = Folder::new();
    folder.picture("cats/1.png", [1; 3]);
    folder.picture("cats/.hidden/1.png", [1; 3]);
    folder.picture(".hid/1.png", [1; 3]);
    folder.picture("cats/._x/1.png", [1; 3]);
    folder.write(".empty/notes.txt", b"none");
    let hidden = folder.open(Split::Train).expect("a data set");
    assert_eq!(hidden.len(), 1);
    assert_eq!(hidden.summary().1.as_deref(), Some(".hid/ (hidden), .hidden/ (hidden)"));
    folder.picture("cats/kittens/1.png", [1; 3]);
    folder.refused(Split::Train, &["cats/kittens is a folder inside a class folder", "pictures only"]);
    for i in 0..20 {
        folder.picture(&format!("train/cats/{i}.png"), [1; 3]);
        folder.picture(&format!("test/cats/{i}.png"), [1; 3]);
    }
    folder.refused(Split::Train, &["cats lies beside train/ and test/", "take it out"]);
    fs::remove_dir_all(folder.0.path().join("cats")).expect("it was there");
    folder.picture("test/cats/kittens/1.png", [1; 3]);
    folder.refused(Split::Test, &["test/cats/kittens is a folder"]);
}

/// Links to nowhere are no empty folders, nobody waits for a pipe, and names are text.
#[cfg(unix)]
#[test]
fn what_is_neither_a_folder_nor_a_file_is_told() {
    use std::{ffi::OsStr, os::unix};
    let folder = Folder::new();
    folder.picture("cats/1.png", [1; 3]);
    let place = |name: &str| folder.0.path().join(name);
    unix::fs::symlink("nowhere", place("dogs")).expect("a link");
    folder.refused(Split::Train, &["dogs cannot be read"]);
    fs::remove_file(place("dogs")).expect("it was there");
    let status = std::process::Command::new("mkfifo").arg(place("cats/2.png")).status();
    assert!(status.is_ok_and(|status| status.success()), "there is a pipe");
    folder.refused(Split::Train, &["cats/2.png is no file"]);
    fs::remove_file(place("cats/2.png")).expect("it was there");
    fs::set_permissions(place("cats/1.png"), unix::fs::PermissionsExt::from_mode(0o000)).expect("mine");
    // Root may read everything.
    if fs::read(place("cats/1.png")).is_err() {
        let text = folder.open(Split::Train).expect("listed").load([4, 4], 3).expect_err("closed").to_string();
        assert!(text.contains("cats/1.png cannot be read"), "{text}");
    }
    // Not every file system takes such a name.
    let odd = place("").join(<OsStr as unix::ffi::OsStrExt>::from_bytes(b"\xff"));
    if fs::rename(place("cats"), odd).is_ok() {
        folder.refused(Split::Train, &["no Unicode text"]);
    }
}

#[test]
fn classes_go_by_the_models_names() {
    let folder = Folder::new();
    folder.picture("one/1.png", [1; 3]);
    folder.picture("two/1.png", [2; 3]);
    let mut images = folder.open(Split::Train).expect("a data set");
    let names = ["zero", "two", "one"].map(str::to_owned);
    images.number_as(&names).expect("all are known");
    assert_eq!((images.classes(), images.load([2, 2], 3).expect("pictures").labels), (&names[..], vec![2, 1]));
    let text = images.number_as(&names[..2]).expect_err("there is no one").to_string();
    assert!(text.contains("one is unknown") && text.contains("zero, two"), "{text}");
    let many: Vec<String> = (0..300).map(|label| format!("{label}")).chain(["one".to_owned()]).collect();
    let text = folder.open(Split::Train).expect("it").number_as(&many).expect_err("a label is a byte").to_string();
    assert!(text.contains("one") && text.contains("whose label is 300: data have labels up to 255"), "{text}");
    let folder = Folder::new();
    folder.picture("1.png", [1; 3]);
    let text = folder.open(Split::Train).expect("a data set").number_as(&names).expect_err("no classes").to_string();
    assert!(text.contains("no class folders"), "{text}");
}
