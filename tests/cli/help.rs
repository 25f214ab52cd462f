//! What every command says of itself.

use super::program::{fail, noisette, succeed};

#[test]
fn help_teaches_every_command() {
    let all = succeed("--help").stdout;
    for command in ["train", "distill", "sample", "predict", "gradients", "evaluate", "export", "bench"] {
        assert!(all.contains(command), "{all}");
        let help = succeed(&format!("{command} --help")).stdout;
        assert!(help.contains(&format!("Example: noisette {command} ")), "{command} gives no example:\n{help}");
        fail(&format!("{command} --no-such-thing"), &["--no-such-thing"]);
    }
    assert!(succeed("--version").stdout.contains(env!("CARGO_PKG_VERSION")));
    assert!(!noisette("").success, "a command is needed");
    fail("paint", &["paint"]);
}
