// Chromium with WebGPU on its software adapter, or without WebGPU.

import { chromium } from "playwright-core";

const USUAL = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

/** A browser; as root there is no sandbox to be had. */
export function launch({ webgpu = true } = {}) {
  const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const graphics = webgpu ? WEBGPU : ["--disable-features=WebGPU", "--disable-gpu"];
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...USUAL, ...root, ...graphics],
  });
}

/** A page on this address, which says what its console says. */
export async function open(browser, url, said = []) {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  page.on("console", (message) => said.push(`[${message.type()}] ${message.text()}`));
  page.on("pageerror", (error) => said.push(`[pageerror] ${error}`));
  await page.goto(url);
  return page;
}

/** Opens the example page from its folder, works it, and takes pictures. */
export async function workPage(browser, file, pictures) {
  const said = [];
  const page = await open(browser, file, said);
  await page.locator("body[data-ready]").waitFor({ timeout: 120_000 });
  const bars = async () => page.locator("#stages").textContent();
  const before = await bars();
  await page.locator('input[name="top_k"]').fill("5");
  await page.waitForFunction((before) => document.querySelector("#stages").textContent !== before, before);
  const stages = await page.locator("#stages th").allTextContents();
  if (!stages.some((name) => name.startsWith("top_k") && name.includes("5 kept"))) throw new Error(`top_k keeps 5: ${stages}`);
  const state = page.locator("#state");
  // An error is said for as long as it is one.
  const moveTo = (name, value) => page.locator(`input[name="${name}"]`).evaluate((slider, value) => {
    slider.max = Math.max(slider.max, value);
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
  }, value);
  await moveTo("top_p", 2);
  await page.waitForFunction(() => /^Params: .*top_p/.test(document.querySelector("#state").textContent), undefined, { timeout: 60_000 });
  await moveTo("top_p", 0.9);
  await page.waitForFunction(() => !/^Params/.test(document.querySelector("#state").textContent), undefined, { timeout: 60_000 });
  // Penalties look at the text before.
  await moveTo("repetition_penalty", 1.3);
  await page.keyboard.press("d");
  await page.locator("#drawn span").or(state.filter({ hasText: /^\w+: / })).first().waitFor({ timeout: 300_000 });
  if (!(await page.locator("#drawn span").count())) throw new Error(await state.textContent());
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#save").click()]);
  const log = await (await import("node:fs/promises")).readFile(await download.path(), "utf8");
  if (JSON.parse(log.trim()).draws.length !== 16) throw new Error("the log has other draws");
  await page.keyboard.press("c");
  await page.waitForFunction(() => /unequal|:/.test(document.querySelector("#state").textContent) && !/Comparing/.test(document.querySelector("#state").textContent));
  const compared = await state.textContent();
  if (!/48 records .* 0 unequal/.test(compared)) throw new Error(compared);
  for (const [name, width, scheme] of [["web", 1180, "light"], ["web-narrow", 390, "dark"]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 820 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) throw new Error(`${wide} pixels too wide at ${width}`);
    await page.screenshot({ path: `${pictures}/${name}.png` });
  }
  await page.close();
  return { state: compared, stages: stages.length };
}
