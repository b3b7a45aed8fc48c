// `vite` serves the page with made-up data, `vite build` writes what loopd embeds.
// The mock is loaded only by the development server, so nothing of it can reach a build.
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig } from "vite";

export default defineConfig(({ command }) => ({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    // An inlined asset would be a data: URL, which the page's content security policy refuses for most kinds.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
  },
  server: process.env.LOOPD ? { proxy: { "/api": { target: process.env.LOOPD, changeOrigin: true, headers: { origin: process.env.LOOPD } } } } : {},
  plugins: command === "serve" ? (process.env.LOOPD || process.env.VITEST ? [] : [mock()]) : [compressed()],
  test: { include: ["src/**/*.test.ts"], environment: "node" },
}));

/** Answers /api with deterministic data; set LOOPD=http://127.0.0.1:7411 to use a real collector instead. */
function mock() {
  return {
    name: "loopd-mock-api",
    async configureServer(server) {
      // Through a variable, so that bundling this file does not follow it: a build needs no dev/ folder.
      const file = new URL("./dev/mock/api.mjs", import.meta.url).href;
      const { mockApi } = await import(file);
      server.middlewares.use(mockApi());
    },
  };
}

/** Puts a `.br` and a `.gz` beside each file that gets shorter: the collector sends them as they are, and never compresses while somebody waits. */
function compressed() {
  return {
    name: "loopd-compressed",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        for (const { fileName, ...file } of Object.values(bundle)) {
          const bytes = Buffer.from(file.type === "chunk" ? file.code : file.source);
          const forms = { br: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }), gz: gzipSync(bytes, { level: 9 }) };
          for (const [ending, source] of Object.entries(forms)) {
            if (source.length < 0.9 * bytes.length) this.emitFile({ type: "asset", fileName: `${fileName}.${ending}`, source });
          }
        }
      },
    },
  };
}
