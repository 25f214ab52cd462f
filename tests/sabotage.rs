//! Can the comparison in `tests/kernels.rs` fail? Every kernel is broken in every place by rule (a sign, an index, a bound,
//! a factor, a number), and some case has to notice.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::engine::gpu::KERNELS;
use std::collections::BTreeSet;
use std::sync::Mutex;
use support::cases::{self, Case};
use support::gpu::{self, Bench, Prepared};

/// A kernel with one place broken.
struct Mutant {
    /// The line, counted from one, and what it says now.
    place: String,
    source: String,
}

/// Ways to break an expression: what is replaced by what. `#` stands for a number, `@` for an operand.
const RULES: &[(&str, &str)] = &[
    (" + ", " - "),
    (" - ", " + "),
    (" += ", " -= "),
    (" *= ", " /= "),
    (" / ", " * "),
    (" % ", " / "),
    (" < ", " <= "),
    (" < ", " + 1u < "),
    (" <= ", " < "),
    (" > ", " >= "),
    (" >= ", " > "),
    (" == ", " != "),
    (" & ", " | "),
    (" && ", " || "),
    ("min(", "max("),
    ("max(", "min("),
    ("0.0", "1.0"),
    ("1.0", "2.0"),
    ("0u", "1u"),
    ("1u", "2u"),
    ("2u", "3u"),
    ("3u", "4u"),
    ("4u", "5u"),
    (".x", ".y"),
    (".y", ".z"),
    (".z", ".w"),
    (".w", ".x"),
    ("!earlier", "earlier"),
];

const CLAMP: &str = "the bound keeps a read inside its buffer; what is read is thrown away";
const IDLE: &str = "one more turn, which adds nothing";
const SHIFT: &str = "softmax does not see what is added to all logits of a row";
const BOUNDED: &str =
    "one logit may exceed the largest of the others by any amount where exp has a largest result, as it has here";
const FORGOTTEN: &str = "multiplied by e^-1e30 = 0 at the first key";
const RACE: &str = "wrong only in an order of invocations that this adapter does not choose";
const ELSEWHERE: &str = "values lie elsewhere in workgroup memory, and are found there";
const SAME: &str = "invocations for which it would differ write nothing, or the same";

/// Broken places that need not be noticed: the kernel's name begins so, the line holds this, and why.
const SURVIVORS: &[(&str, &str, &str)] = &[
    ("attention", "(0u, 1u, 2u, 3u), vec4<u32>(p.tokens + 1u))", CLAMP),
    ("attention_probabilities", "min(keys, vec4<u32>(p.tokens + 1u))", CLAMP),
    ("qkv", "vec4<u32>(p.pixels + 1u)", CLAMP),
    ("attention", "min(tile + t, p.tokens + 1u)", CLAMP),
    ("conv2d", "min(qa + 1u, co4 + 1u)", CLAMP),
    ("conv2d", "vec4<u32>(pixels + 1u)", CLAMP),
    ("conv2d", "let there = select(vec4<u32>(1u),", CLAMP),
    ("conv2d", "let at = select(vec4<u32>(1u),", CLAMP),
    ("conv2d_grad_input", "min(channels_a, vec4<u32>(p.ci + 1u))", CLAMP),
    ("conv2d_grad_input", "min(channels_b, vec4<u32>(p.ci + 1u))", CLAMP),
    ("conv2d_grad_weight", "min(c + 1u, ci4 + 1u)", CLAMP),
    ("conv2d_grad_weight", "min(q + 1u, co4 + 1u)", CLAMP),
    ("group_norm_grad_input", "vec4<u32>(p.c + 1u)", CLAMP),
    ("conv2d", "16u * i, pixels + 1u)", CLAMP),
    ("conv2d", "lane, ci4 + 1u)", CLAMP),
    ("conv2d", "lane, co4 + 1u)", CLAMP),
    ("conv2d", "min(qa, co4 + 1u)", CLAMP),
    ("conv2d", "min(qb, co4 + 1u)", CLAMP),
    ("conv2d", "min(channel, p.ci + 1u)", CLAMP),
    ("conv2d", "t % 8u, co4 + 1u)", CLAMP),
    ("conv2d", "select(1u, at[i], inside)", CLAMP),
    ("conv2d", "select(1u, at[i] + q, inside)", CLAMP),
    ("conv2d", "c <= ci4; c += 4u", IDLE),
    ("conv2d", "o <= co4; o += 4u", IDLE),
    ("conv2d", "k <= 4u", IDLE),
    ("conv2d", "i <= 8u", IDLE),
    ("conv2d", "if (item > ((pixels + 127u)", SAME),
    ("conv2d", "if (item >= ((pixels + 127u) * 128u)", SAME),
    ("attention", "tile <= p.tokens", IDLE),
    ("group_norm_stats", "4u * q <= end", IDLE),
    ("attention", "return select(vec4<f32>(1.0), v,", SHIFT),
    ("attention", "var logit = vec4<f32>(1.0)", SHIFT),
    ("attention", "for (var i = 0u; i <= others; i++)", SHIFT),
    ("attention", "for (var i = 0u; i + 1u < others; i++)", BOUNDED),
    ("attention", "var sum = vec4<f32>(1.0)", FORGOTTEN),
    ("attention_lse", "var sum = 1.0", FORGOTTEN),
    ("attention", "var norm = 1.0", FORGOTTEN),
    ("", "if (t <= half)", RACE),
    ("", "if (t != 0u)", RACE),
    ("", "if (t == 1u)", RACE),
    ("conv2d_grad_weight", "if (t <= 4u && row < p.ci && q < co4)", RACE),
    ("conv2d_grad_weight", "if (t < 5u && row < p.ci && q < co4)", RACE),
    ("conv2d_grad_weight_tiled", "(slice ^ ((k | 3u) << 1u))", ELSEWHERE),
    ("conv2d_grad_weight_tiled", "(slice ^ ((k & 3u) << 2u))", ELSEWHERE),
    ("conv2d_grad_weight_tiled", "(slice ^ ((k & 4u) << 1u))", ELSEWHERE),
    ("conv2d_grad_weight_tiled", "let inside = line < lines || row < p.h;", CLAMP),
    ("conv2d_grad_weight_tiled", "begin <= lines", IDLE),
    ("conv2d_grad_weight_tiled", "i <= 4u", RACE),
    ("conv2d_grad_weight_tiled", "if (slice <= half)", RACE),
    ("attention_tiled", "chunk <= d4", IDLE),
    ("attention_tiled", "first_key <= p.tokens", IDLE),
    ("attention_tiled", "column <= columns", IDLE),
    ("attention_tiled", "if (r <= d4)", IDLE),
    ("attention_tiled", "var norm = vec4<f32>(1.0)", FORGOTTEN),
    ("attention_tiled", "min(first_key + key, p.tokens + 1u)", CLAMP),
    ("attention_tiled", "min(first + query, p.tokens + 1u)", CLAMP),
    ("attention_tiled", "(p.width - 1u)), d4 + 1u)", CLAMP),
    ("attention_tiled", "select(1u, a + column, there)", CLAMP),
    ("attention_tiled", "select(vec4<f32>(1.0), value, there)", SHIFT),
    ("attention_tiled", "s <= keys; s++", SHIFT),
    ("attention_tiled", "s + 1u < keys; s++", SHIFT),
    ("attention_tiled", "d4 >= columns", SAME),
    ("attention_tiled", "part + 1u < keys", SAME),
    ("attention_tiled", "i <= 4u", SAME),
    ("attention_tiled", "s <= rows << width_bits", RACE),
    ("attention", "r >= begin / 5u", RACE),
    ("attention", "vec4<u32>(0u, 1u, 2u, 4u) < vec4<u32>(begin)", SAME),
    ("attention", "first + mine <= p.tokens", SAME),
    ("attention", "four + 1u < count", SAME),
];

/// All ways to break a kernel.
fn mutants(source: &str) -> Vec<Mutant> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let code = line.split(" //").next().unwrap_or_default();
        let declares = ["//", "@", "var<", "struct", "fn ", "    @builtin"].iter().any(|word| code.starts_with(word));
        if declares || (code.contains("u32,") || code.contains("f32,")) && !code.contains('(') {
            continue;
        }
        for broken in broken_lines(code) {
            let mut text = lines.clone();
            text[number] = &broken;
            found.push(Mutant { place: format!("{}: {}", number + 1, broken.trim()), source: fused(&text) });
        }
    }
    found
}

fn broken_lines(code: &str) -> Vec<String> {
    let is_loop = code.trim_start().starts_with("for (");
    let is_bound = code.trim_start().starts_with("let end = ");
    let mut found = Vec::new();
    let allowed = |rule: &str| match rule {
        // A loop whose step is broken never ends; one whose end lies before its start nearly never does.
        _ if is_loop => [" < ", " <= "].contains(&rule),
        " + " => !is_bound,
        _ => true,
    };
    for (from, to) in RULES.iter().filter(|(from, _)| allowed(from)) {
        for (at, _) in code.match_indices(from) {
            // 64u is not 4u.
            let before = code[..at].chars().last().unwrap_or(' ');
            if from.starts_with(|c: char| c.is_ascii_digit())
                && (before.is_ascii_digit() || before == '.' || before == 'e')
            {
                continue;
            }
            found.push(format!("{}{to}{}", &code[..at], &code[at + from.len()..]));
        }
    }
    if !is_loop {
        // Drop a factor: a name with its components and index, a number, or a parenthesis.
        for (at, _) in code.match_indices(" * ") {
            let rest = &code[at + 3..];
            let mut depth = 0;
            let end = rest.find(|c: char| {
                match c {
                    '(' | '[' => depth += 1,
                    ')' | ']' => depth -= 1,
                    _ => {}
                }
                depth < 0 || depth == 0 && !(c.is_alphanumeric() || "_.)]".contains(c))
            });
            found.push(format!("{}{}", &code[..at], &rest[end.unwrap_or(rest.len())..]));
        }
    }
    found
}

/// The text with a fuse in every loop that has no barrier, so that no mutant runs for ever.
fn fused(lines: &[&str]) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        text.push_str(line);
        text.push('\n');
        if line.trim_start().starts_with("for (") {
            let body = lines[number + 1..].iter().take_while(|inner| indent(inner) > indent(line) || inner.is_empty());
            if !body.into_iter().any(|inner| inner.contains("workgroupBarrier")) {
                text.push_str("fuse += 1u; if (fuse > 2000u) { break; }\n");
            }
        }
    }
    text + "var<private> fuse: u32;\n"
}

fn is_valid(source: &str) -> bool {
    let Ok(module) = naga::front::wgsl::parse_str(source) else { return false };
    let flags = naga::valid::ValidationFlags::all();
    naga::valid::Validator::new(flags, naga::valid::Capabilities::empty()).validate(&module).is_ok()
}

/// Mutants tried of one kernel, spread evenly over all. Compiling them takes nearly all the time; the environment
/// variable `SABOTAGE=all` lifts the limit, and `SABOTAGE_KERNEL=conv2d` leaves the other kernels in peace.
const TRIED: usize = 40;

/// What trying a kernel's mutants led to.
#[derive(Default)]
struct Outcome {
    tried: usize,
    unnoticed: Vec<String>,
    /// Entries of [`SURVIVORS`] that a mutant, tried or not, is excused by.
    excused: BTreeSet<usize>,
}

/// Breaks one kernel and shows it to its instances, the cheapest first.
fn sabotage(bench: &Bench, name: &str, source: &str, cases: &[Case], outcome: &mut Outcome) {
    let all = cases.iter().flat_map(gpu::instances).filter(|instance| instance.dispatch.shader == name);
    let mut instances: Vec<Prepared> = all.map(|instance| bench.prepare(instance)).collect();
    assert!(!instances.is_empty(), "no case uses {name}");
    instances.sort_by_key(|prepared| prepared.instance.size());
    let whole = bench.pipeline(&fused(&source.lines().collect::<Vec<_>>())).expect("the kernel compiles");
    for prepared in &instances {
        bench.check(&whole, prepared).unwrap_or_else(|why| panic!("{name} fails unbroken: {why}"));
    }

    let mut mutants: Vec<Mutant> = mutants(source).into_iter().filter(|mutant| is_valid(&mutant.source)).collect();
    mutants.retain(|mutant| {
        let excuses = |(k, line, _): &(&str, &str, &str)| name.starts_with(k) && mutant.place.contains(line);
        let excuse = SURVIVORS.iter().position(excuses);
        outcome.excused.extend(excuse);
        excuse.is_none()
    });
    assert!(!mutants.is_empty(), "{name} was not broken anywhere");
    let every = if std::env::var("SABOTAGE").is_ok_and(|v| v == "all") { 1 } else { mutants.len().div_ceil(TRIED) };
    for mutant in mutants.iter().step_by(every) {
        let pipeline = bench.pipeline(&mutant.source).unwrap_or_else(|e| panic!("{name}, {}: {e}", mutant.place));
        outcome.tried += 1;
        if instances.iter().all(|prepared| bench.check(&pipeline, prepared).is_ok()) {
            outcome.unnoticed.push(format!("{name}.wgsl:{}", mutant.place));
        }
    }
}

#[test]
fn broken_kernels_are_noticed() {
    let cases = cases::all();
    let only = std::env::var("SABOTAGE_KERNEL").ok();
    let chosen = |(name, _): &&(&str, &str)| only.as_ref().is_none_or(|only| only == name);
    let queue = Mutex::new(KERNELS.iter().filter(chosen));
    // Drivers compile a kernel on the thread that asks for it, so two threads do it in half the time.
    let work = || {
        let (bench, mut outcome) = (Bench::open(), Outcome::default());
        loop {
            let next = queue.lock().expect("no worker has panicked").next();
            let Some((name, source)) = next else { return outcome };
            sabotage(&bench, name, source, &cases, &mut outcome);
        }
    };
    let outcomes = std::thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.map(|worker| worker.join().expect("a worker's panic says what is wrong"))
    });

    let tried: usize = outcomes.iter().map(|outcome| outcome.tried).sum();
    let unnoticed: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.unnoticed).collect();
    assert!(unnoticed.is_empty(), "{} of {tried} broken kernels go unnoticed:\n{unnoticed:#?}", unnoticed.len());
    println!("{tried} broken kernels were noticed");
    if let Some(only) = only {
        assert!(tried > 0, "no kernel is called {only}");
        return;
    }
    assert!(tried >= 10 * KERNELS.len(), "only {tried} broken kernels were tried");
    let is_stale = |i: &usize| !outcomes.iter().any(|outcome| outcome.excused.contains(i));
    let stale: Vec<_> = (0..SURVIVORS.len()).filter(is_stale).map(|i| SURVIVORS[i]).collect();
    assert!(stale.is_empty(), "no kernel can be broken so any more: {stale:#?}");
}
