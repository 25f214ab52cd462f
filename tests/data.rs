//! Data sets: MNIST's format with everything that can be wrong with it, and the order of the batches.
#![cfg(not(target_arch = "wasm32"))]

use flate2::{Compression, write::GzEncoder};
use noisette::data::{
    Batches, DataError, Dataset, Split, fill_x0, find_idx, labels, load_idx, parse_images, parse_labels,
};
use std::io::Write;
use std::path::Path;

fn idx(magic: u32, extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header = std::iter::once(&magic).chain(extents).flat_map(|word| word.to_be_bytes());
    header.chain(bytes.iter().copied()).collect()
}

fn images(count: u32, height: u32, width: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..count * height * width).map(|i| (i * 7 % 256) as u8).collect();
    idx(0x803, &[count, height, width], &pixels)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A directory with one pair of files.
fn folder(images: (&str, &[u8]), labels: (&str, &[u8])) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in [images, labels] {
        std::fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

#[test]
fn every_name_plain_and_gzipped_is_found() {
    let (pictures, classes) = (images(3, 2, 5), idx(0x801, &[3], &[9, 0, 4]));
    let mut found = 0;
    for (split, prefix) in [(Split::Train, "train"), (Split::Test, "t10k")] {
        for dot in ["-", "."] {
            for zipped in [false, true] {
                let suffix = if zipped { ".gz" } else { "" };
                let names = [
                    format!("{prefix}-images{dot}idx3-ubyte{suffix}"),
                    format!("{prefix}-labels{dot}idx1-ubyte{suffix}"),
                ];
                let [pictures, classes] = [&pictures, &classes].map(|b| if zipped { gzip(b) } else { b.clone() });
                let directory = folder((&names[0], &pictures), (&names[1], &classes));
                let data = load_idx(directory.path(), split, 10).unwrap();
                assert_eq!((data.len(), data.height, data.width, data.channels), (3, 2, 5, 1));
                assert_eq!((data.image_len(), data.is_empty()), (10, false));
                assert_eq!(data.labels, [9, 0, 4]);
                assert_eq!(data.image(1), [70, 77, 84, 91, 98, 105, 112, 119, 126, 133]);
                let other = if split == Split::Train { Split::Test } else { Split::Train };
                assert!(matches!(load_idx(directory.path(), other, 10), Err(DataError::Missing { .. })));
                found += 1;
            }
        }
    }
    assert_eq!(found, 8);
}

#[test]
fn a_gzipped_file_is_known_by_its_bytes() {
    let (pictures, classes) = (gzip(&images(2, 3, 3)), idx(0x801, &[2], &[1, 1]));
    let directory = folder(("train-images-idx3-ubyte", &pictures), ("train-labels-idx1-ubyte", &classes));
    assert_eq!(load_idx(directory.path(), Split::Train, 10).unwrap().len(), 2);
}

/// The four files in places that their names are joined to.
fn four(place: impl Fn(&str) -> String) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (half, count) in [("train", 3), ("t10k", 2)] {
        let files =
            [("images-idx3", images(count, 2, 5)), ("labels-idx1", idx(0x801, &[count], &vec![4; count as usize]))];
        for (name, bytes) in files {
            let path = directory.path().join(place(&format!("{half}-{name}-ubyte")));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    directory
}

/// As torchvision and Kaggle's archives lay them out, and EMNIST calls them.
#[test]
fn every_layout_is_found() {
    let layouts: [&dyn Fn(&str) -> String; 6] = [
        &|name| format!("raw/{name}"),
        &|name| format!("MNIST/raw/{name}"),
        &|name| format!("{name}/{name}"),
        &|name| format!("archive/{name}/{}", name.replace("-idx", ".idx")),
        &|name| format!("emnist-letters-{}", name.replace("t10k", "test")),
        &|name| name.to_uppercase(),
    ];
    for layout in layouts {
        let directory = four(layout);
        let place = find_idx(directory.path()).unwrap().expect("a place");
        assert!(place.starts_with(directory.path()));
        let halves = [Split::Train, Split::Test].map(|split| load_idx(directory.path(), split, 10).unwrap().len());
        assert_eq!(halves, [3, 2], "{}", layout("train-images-idx3-ubyte"));
    }
    assert_eq!(find_idx(four(|name| format!("a/b/c/{name}")).path()).unwrap(), None, "too deep");
    assert_eq!(find_idx(four(|name| format!("__MACOSX/{name}")).path()).unwrap(), None, "litter");
    // What lies nearest counts, if it is one.
    let directory = four(|name| format!("MNIST/raw/{name}"));
    let raw = |name: &str| directory.path().join(name).join("raw");
    std::fs::create_dir_all(raw("KMNIST")).unwrap();
    std::fs::copy(raw("MNIST").join("train-images-idx3-ubyte"), raw("KMNIST").join("train-images-idx3-ubyte")).unwrap();
    let message = load_idx(directory.path(), Split::Train, 10).unwrap_err().to_string();
    assert!(
        message.contains("several data sets") && message.contains("/MNIST/raw") && message.contains("/KMNIST/raw"),
        "{message}"
    );
    assert_eq!(load_idx(&raw("MNIST"), Split::Train, 10).unwrap().len(), 3);
    let directory = four(|name| format!("emnist-letters-{name}"));
    std::fs::write(directory.path().join("emnist-digits-train-images-idx3-ubyte"), images(1, 2, 2)).unwrap();
    let message = load_idx(directory.path(), Split::Train, 10).unwrap_err().to_string();
    assert!(message.ends_with("expected one, found emnist-digits-…, emnist-letters-…"), "{message}");
}

#[test]
fn what_is_missing_is_named() {
    let message = load_idx(Path::new("no/such/place"), Split::Test, 10).unwrap_err().to_string();
    assert!(
        message.starts_with("no/such/place holds no test images: looked for t10k-images-idx3-ubyte, "),
        "{message}"
    );
    assert!(message.ends_with("t10k-images.idx3-ubyte.gz"), "{message}");
    let directory = folder(("train-images-idx3-ubyte", &images(1, 2, 2)), ("else", &[]));
    let message = load_idx(directory.path(), Split::Train, 10).unwrap_err().to_string();
    assert!(message.contains("holds no training labels"), "{message}");
}

/// The sentence that reading these bytes as images ends in.
fn refused(bytes: &[u8]) -> String {
    parse_images(bytes, "pictures").expect_err("this is no file of images").to_string()
}

#[test]
fn foreign_and_damaged_images_are_refused() {
    let good = images(2, 3, 4);
    assert!(parse_images(&good[..], "pictures").is_ok());
    assert_eq!(
        refused(&idx(0x801, &[2], &[0, 1])),
        "pictures is no IDX file of images: expected magic number 0x00000803, found 0x00000801"
    );
    assert!(refused(b"\x89PNG\r\n\x1a\n").contains("found 0x89504e47"));
    assert_eq!(refused(b""), "pictures is truncated: expected 16 bytes of header, found 0");
    for length in 0..4 {
        assert!(refused(&good[..length]).contains("of header, found"));
    }
    for length in 4..16 {
        assert_eq!(
            refused(&good[..length]),
            format!("pictures is truncated: expected 16 bytes of header, found {length}")
        );
    }
    for length in 16..good.len() {
        let found = length - 16;
        assert_eq!(
            refused(&good[..length]),
            format!("pictures is truncated: expected 24 bytes of data, found {found}")
        );
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(refused(&longer), "pictures goes on after the 24 bytes of data its header announces");
}

#[test]
fn absurd_extents_are_refused_before_memory_is_taken() {
    for extents in
        [[0, 28, 28], [2, 0, 28], [2, 28, 0], [u32::MAX; 3], [1, 4097, 1], [1, 1, 1 << 31], [3000, 1000, 1000]]
    {
        let message = refused(&idx(0x803, &extents, &[0; 64]));
        assert!(
            message.starts_with(&format!(
                "pictures announces {}×{}×{}, expected 1 to",
                extents[0], extents[1], extents[2]
            )),
            "{message}"
        );
    }
    // The largest header that is believed claims 2 GiB: its 64 bytes are read, not two billion.
    let message = refused(&idx(0x803, &[1 << 11, 1 << 10, 1 << 10], &[0; 64]));
    assert_eq!(message, "pictures is truncated: expected 2147483648 bytes of data, found 64");
}

#[test]
fn a_reader_is_never_asked_for_more_than_one_byte_too_many() {
    // An endless stream, such as a decompression bomb, is left after the announced bytes.
    let start = images(2, 3, 4);
    let endless = std::io::Read::chain(&start[..], std::io::repeat(7));
    assert!(matches!(parse_images(endless, "pictures"), Err(DataError::Oversized { expected: 24, .. })));
}

#[test]
fn labels_stay_within_their_classes() {
    let file = idx(0x801, &[4], &[0, 9, 10, 11]);
    let message = parse_labels(&file[..], "classes", 10).unwrap_err().to_string();
    assert_eq!(message, "classes has label 10 at index 2, expected 0 to 9");
    assert_eq!(parse_labels(&file[..], "classes", 12).unwrap(), [0, 9, 10, 11]);
    assert!(matches!(parse_labels(&file[..], "classes", 11), Err(DataError::Label { index: 3, found: 11, .. })));
    assert!(matches!(parse_labels(&images(1, 1, 1)[..], "classes", 10), Err(DataError::Magic { found: 0x803, .. })));
    assert!(matches!(parse_labels(&file[..7], "classes", 12), Err(DataError::Truncated { expected: 8, found: 7, .. })));
    assert!(matches!(parse_labels(&file[..9], "classes", 12), Err(DataError::Truncated { expected: 4, found: 1, .. })));
}

#[test]
fn files_that_do_not_fit_together_are_refused() {
    let directory =
        folder(("train-images-idx3-ubyte", &images(3, 2, 2)), ("train-labels-idx1-ubyte", &idx(0x801, &[2], &[1, 2])));
    let message = load_idx(directory.path(), Split::Train, 10).unwrap_err().to_string();
    assert!(
        message.contains("train-images-idx3-ubyte has 3 images but ")
            && message.ends_with("train-labels-idx1-ubyte has 2 labels"),
        "{message}"
    );
    let directory =
        folder(("train-images-idx3-ubyte", &images(1, 2, 2)), ("train-labels-idx1-ubyte", &idx(0x801, &[1], &[25])));
    assert!(matches!(
        load_idx(directory.path(), Split::Train, 10),
        Err(DataError::Label { found: 25, classes: 10, .. })
    ));
    assert_eq!(load_idx(directory.path(), Split::Train, 26).unwrap().labels, [25]);
}

#[test]
fn damaged_compression_is_an_error_that_names_the_file() {
    let whole = gzip(&images(40, 9, 9));
    let classes = idx(0x801, &[40], &[0; 40]);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    for bytes in [&whole[..whole.len() / 2], &whole[..12], &whole[..2], &flipped] {
        let directory = folder(("train-images-idx3-ubyte.gz", bytes), ("train-labels-idx1-ubyte", &classes));
        let message = load_idx(directory.path(), Split::Train, 10).unwrap_err().to_string();
        assert!(message.contains("train-images-idx3-ubyte.gz"), "{message}");
    }
}

#[test]
fn batches_become_numbers_between_minus_one_and_one() {
    // Two colour pictures of 1×2.
    let data = Dataset {
        images: vec![0, 255, 51, 102, 153, 204, 255, 0, 0, 1, 2, 3],
        labels: vec![7, 2],
        height: 1,
        width: 2,
        channels: 3,
    };
    let mut x_0 = [0.0; 18];
    fill_x0(&data, &[1, 0, 1], &mut x_0);
    let expected =
        [1.0, -1.0, -1.0, 2.0 / 255.0 - 1.0, 4.0 / 255.0 - 1.0, 6.0 / 255.0 - 1.0, -1.0, 1.0, -0.6, -0.2, 0.2, 0.6];
    for (i, (found, expected)) in x_0[..12].iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= 1e-7, "value {i} is {found}, expected {expected}");
    }
    assert_eq!(x_0[..6], x_0[12..]);
    assert_eq!(labels(&data, &[1, 0, 1]), [2, 7, 2]);
}

#[test]
fn epochs_are_permutations_each_another() {
    let mut batches = Batches::new(97, 5);
    let epochs: Vec<Vec<usize>> = (0..3).map(|_| batches.next_batch(97)).collect();
    assert_eq!((batches.drawn(), batches.epoch()), (291, 3));
    for (i, epoch) in epochs.iter().enumerate() {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..97).collect::<Vec<_>>());
        assert!(epochs[..i].iter().all(|other| other != epoch));
    }
    assert_eq!(Batches::new(97, 5).next_batch(97), epochs[0], "the same seed");
    assert_ne!(Batches::new(97, 6).next_batch(97), epochs[0], "another seed");
    assert_eq!(Batches::new(1, 0).next_batch(3), [0, 0, 0]);
}

#[test]
fn batches_resume_anywhere() {
    let unbroken: Vec<usize> = Batches::new(23, 8).take(120).collect();
    for drawn in [0, 1, 22, 23, 24, 45, 46, 100] {
        let mut resumed = Batches::resume(23, 8, drawn as u64);
        assert_eq!(resumed.drawn(), drawn as u64);
        // In batches that straddle the epochs.
        let rest: Vec<usize> = (drawn..120).step_by(10).flat_map(|at| resumed.next_batch(10.min(120 - at))).collect();
        assert_eq!(rest, unbroken[drawn..], "from {drawn}");
    }
}
