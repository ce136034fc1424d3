// Ends jest's processes as soon as they have nothing left to do. Node would first take apart a heap of some hundred megabytes
// with a context for each test file, which takes longer than the half second that jest waits before it says that a process
// "has failed to exit gracefully"; and it costs processor time.
const [, program = ""] = process.argv;
if (/[\\/](jest-worker|jest)[\\/]/.test(program)) process.on("exit", (code) => process.reallyExit(code));
