# make build   the programs, in build/
# make run     build, start the daemon if it is not running, run the built-in container
# make test    everything that is tested; the last line is the sum
# make format  clang-format over the sources

BUILD ?= build

.PHONY: build run test format install clean

build:
	@tools/install-deps build
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) >/dev/null
	@ninja -C $(BUILD)
	@tools/link-programs $(BUILD)

run: build
	@tools/run-hello $(BUILD)

test:
	@tools/install-deps test
	@tools/run-tests

format:
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.c' | xargs clang-format -i

install: build
	@ninja -C $(BUILD) install

clean:
	rm -rf build build-*
