import { describe, expect, it } from "@jest/globals";
import { figuresOf, functionsIn } from "./code-passages.js";

const go = `package a

// Adds two numbers.
// They are whole.
func Add(a, b int) int {
	return a + b
}

func (c *Command) Run(
	args []string,
) error {
	if len(args) > 0 {
		return nil
	}
	return c.run()
}`.split("\n");
const rust = `impl A {
    /// Whether it is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    fn declared(&self);
    fn short(&self) -> u8 { 1 }
}`.split("\n");
const java = `class A {
    /** Runs. */
    @Override
    public void run(PluginCall call) {
        if (call != null) {
            call.run();
        }
    }
    private int value = compute();
}`.split("\n");
const cpp = `class App {
    /// Adds a flag
    Option *add_flag(std::string name,
                     bool value = true) {
        if(name.empty()) {
            return nullptr;
        }
        return make(name, value);
    }
    void declared(int a);
};`.split("\n");

describe("functions by how lines look", () => {
  it.each([
    [
      "go",
      go,
      [
        [2, 4, 6],
        [8, 8, 15],
      ],
    ],
    [
      "rust",
      rust,
      [
        [1, 3, 5],
        [7, 7, 7],
      ],
    ],
    ["java", java, [[1, 3, 7]]],
    ["cpp", cpp, [[1, 2, 8]]],
  ] as const)("%s", (language, lines, expected) =>
    expect(functionsIn(lines, language).map(({ from, start, to }) => [from, start, to])).toEqual(expected),
  );
});

it("figures tell what is cut, what is parted, and what holds several", () => {
  const functions = functionsIn(go, "go");
  expect(
    figuresOf(go, functions, [
      [0, 6],
      [8, 15],
    ]),
  ).toEqual({
    functions: 2,
    fitting: 2,
    whole: 2,
    commented: 1,
    parted: 0,
    passages: 2,
    several: 0,
  });
  expect(
    figuresOf(go, functions, [
      [0, 3],
      [4, 9],
      [10, 15],
    ]),
  ).toMatchObject({ whole: 0, parted: 1, several: 1 });
});
