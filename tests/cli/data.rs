//! What a command says of its data: what is taken, what is left out, and what to give instead.

use super::program::{Folder, fail, golden_dir, succeed};
use std::fs;

/// A grey picture of 8×8.
fn picture(folder: &Folder, name: &str) {
    let path = folder.path(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    image::GrayImage::new(8, 8).save_with_format(path, image::ImageFormat::Png).expect("a PNG");
}

fn evaluate(data: &str) -> String {
    let weights = golden_dir("grey");
    format!("evaluate --weights {weights} --data {data} --engine cpu --images 1 --bound-images 0")
}

#[test]
fn of_two_sets_in_one_folder_the_one_left_out_is_named() {
    let folder = Folder::new();
    let data = folder.data(20);
    assert!(!succeed(&evaluate(&data)).stderr.contains("left out"), "there is nothing else");
    fs::write(folder.path("t10k-images-idx3-ubyte.gz"), "another").expect("it can be written");
    fs::create_dir(folder.path("t10k-labels.idx1-ubyte")).expect("a folder");
    fs::write(folder.path("t10k-labels.idx1-ubyte/t10k-labels.idx1-ubyte"), "another").expect("it can be written");
    let text = succeed(&evaluate(&data)).stderr;
    for part in [
        "data: left out: ",
        "t10k-images-idx3-ubyte.gz (t10k-images-idx3-ubyte is taken)",
        "t10k-labels.idx1-ubyte/t10k-labels.idx1-ubyte (t10k-labels-idx1-ubyte is taken)",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    // The half that is not read says nothing.
    let train = format!(
        "train --data {data} --out {} --config {} --steps 1 --batch 2 --engine cpu",
        folder.text("run"),
        golden_dir("grey")
    );
    assert!(!succeed(&train).stderr.contains("left out"));
}

#[test]
fn pictures_beside_idx_files_are_left_out_aloud() {
    let folder = Folder::new();
    let data = folder.data(20);
    picture(&folder, "cat.png");
    picture(&folder, "dogs/1.png");
    picture(&folder, ".hidden/1.png");
    picture(&folder, "val/dogs/1.png");
    fs::write(folder.path("notes.txt"), "none").expect("it can be written");
    fs::create_dir(folder.path("docs")).expect("a folder");
    let beside = "data: left out: 1 .png file (beside the IDX files), .hidden/ (hidden), dogs/ (beside the IDX files), \
                  val/ (beside the IDX files)\n";
    let text = succeed(&evaluate(&data)).stderr;
    assert!(text.contains(beside), "{text}");
    // Where the files lie below, it is all that lies on the way.
    fs::create_dir(folder.path("raw")).expect("a folder");
    for half in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        let name = format!("{half}-ubyte");
        fs::rename(folder.path(&name), folder.path("raw").join(&name)).expect("it can be moved");
    }
    let text = succeed(&evaluate(&data)).stderr;
    assert!(text.contains(beside), "{text}");
}

#[test]
fn a_folder_without_data_is_told_what_would_be_some() {
    let folder = Folder::new();
    fs::create_dir(folder.path("bare")).expect("a folder");
    let kinds =
        "expected MNIST's IDX files, or PNG, JPEG, GIF, WebP or BMP files, or sub-folders of them, one for each class";
    let bare = folder.text("bare");
    fail(&evaluate(&bare), &["bare holds no test images: ", kinds, "; found nothing"]);
    let train = format!("train --data {bare} --out {} --steps 1", folder.text("run"));
    fail(&train, &["bare holds no training images: ", kinds, "; found nothing"]);
    fs::write(folder.path("bare/train.csv"), "label,pixel0").expect("it can be written");
    fs::write(folder.path("bare/mnist.npz"), "PK").expect("it can be written");
    for command in [evaluate(&bare), train] {
        fail(&command, &[kinds, "; found 1 .csv file (no picture), 1 .npz file (no picture)"]);
    }
    // One file of four is no folder of pictures.
    fs::write(folder.path("bare/t10k-labels-idx1-ubyte"), "").expect("it can be written");
    fail(&evaluate(&bare), &["bare holds no test images: looked for t10k-images-idx3-ubyte"]);
    // Of several sets all are called something.
    for name in ["t10k-images-idx3-ubyte", "emnist-letters-test-images-idx3-ubyte"] {
        fs::write(folder.path("bare").join(name), "").expect("it can be written");
    }
    fail(&evaluate(&bare), &["found those without a prefix, emnist-letters-…"]);
}

#[test]
fn many_labels_without_pictures_are_not_listed() {
    let folder = Folder::new();
    let data = folder.data(20);
    let labels: Vec<u8> =
        [0, 0, 8, 1, 0, 0, 0, 20].into_iter().chain((0..20).map(|i| if i < 10 { 2 } else { 209 })).collect();
    fs::write(folder.path("train-labels-idx1-ubyte"), labels).expect("it can be written");
    let text = succeed(&format!("train --data {data} --out {} --steps 1 --batch 2 --engine cpu --set \
        net.block_out_channels=[32] --set net.down_block_types=[\"DownBlock2D\"] --set net.up_block_types=[\"UpBlock2D\"]",
        folder.text("run"))).stderr;
    let line =
        "no pictures have label 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, … (208 in all): a new network has no class for that\n";
    assert!(text.contains(line), "{text}");
}
