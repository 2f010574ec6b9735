// The page's own device and buffers for wgpu 30, whose web backend makes its own and takes in no other (gfx-rs/wgpu issue 4067
// asks for it). It calls `navigator.gpu` and `GPUDevice.createBuffer` as anybody does: for the length of one call each, here
// they answer with what the page has. Nothing stays changed.

/** Runs `call` while `object[name]` is `value`. A property of the page's own is put back. */
function during(object, name, value, call) {
  const own = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { value, configurable: true });
  try {
    return call();
  } finally {
    if (own) Object.defineProperty(object, name, own);
    else delete object[name];
  }
}

const NO_INFO = { vendor: "", architecture: "", device: "", description: "", isFallbackAdapter: false };

/** What `open` makes of `navigator.gpu` where that has one adapter with one device: this one. */
export function withDevice(device, open) {
  const info = device.adapterInfo ?? NO_INFO;
  const adapter = { features: device.features, limits: device.limits, info, requestDevice: async () => device };
  const { wgslLanguageFeatures } = navigator.gpu;
  return during(navigator, "gpu", { requestAdapter: async () => adapter, wgslLanguageFeatures }, open);
}

/** What `make` makes of the next buffer of a device: this one. */
export function withBuffer(device, buffer, make) {
  return during(device, "createBuffer", () => buffer, make);
}
