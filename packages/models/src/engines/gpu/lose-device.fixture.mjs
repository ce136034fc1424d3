// loaded into the GPU's process by a test: on SIGUSR2 the device is lost
let device;
let gpu;
Object.defineProperty(globalThis, "tesseraGpu", {
  get: () => gpu,
  set(value) {
    gpu = value;
    const { requestAdapter } = gpu;
    gpu.requestAdapter = async (...options) => {
      const adapter = await requestAdapter.apply(gpu, options);
      const { requestDevice } = adapter;
      adapter.requestDevice = async (descriptor) => {
        device = await requestDevice.call(adapter, descriptor);
        return device;
      };
      return adapter;
    };
  },
});
process.on("SIGUSR2", () => device.destroy());
