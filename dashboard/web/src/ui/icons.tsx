//! Line icons, 16 × 16, drawn here so that the page needs no icon font.

const PATHS = {
  overview: "M2 9a6 6 0 1 1 12 0M8 9l3-3M2 13h12",
  findings: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.7 10.7 14 14M7 4.6v2.9M7 9.4v.01",
  timeline: "M2 3v10M2 4h5M5 8h6M9 12h5",
  tasks: "M6 4h8M6 8h8M6 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01",
  slow: "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  leaks: "M8 2s4.5 4.8 4.5 8a4.5 4.5 0 0 1-9 0C3.5 6.8 8 2 8 2Z",
  resources: "M2 5l6-3 6 3-6 3-6-3ZM2 8l6 3 6-3M2 11l6 3 6-3",
  waits: "M4 2h8M4 14h8M5 2c0 4.5 6 7.5 6 12M11 2c0 4.5-6 7.5-6 12",
  query: "M3 4l4 4-4 4M8 12h5",
  sources: "M4 6a5 5 0 0 1 8 0M6 8.5a2.5 2.5 0 0 1 4 0M8 11v3M2 3.5a8 8 0 0 1 12 0",
  sun: "M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5ZM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M12.6 3.4l-1.1 1.1M4.5 11.5l-1.1 1.1",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5Z",
  auto: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 2v12M8 5h3.8M8 8h5.8M8 11h3.8",
  compare: "M6 3H2.5v10H6M10 3h3.5v10H10M8 1.5v13",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.3 10.3 14 14",
  terminal: "M2 3h12v10H2V3ZM4.5 6l2 2-2 2M8.5 10h3",
  swap: "M2.5 5.5h10M10 3l2.5 2.5L10 8M13.5 10.5h-10M6 8l-2.5 2.5L6 13",
  help: "M6 6a2 2 0 1 1 2.8 1.8c-.6.3-.8.7-.8 1.4M8 11.8v.01M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  down: "M4 6l4 4 4-4",
  right: "M6 4l4 4-4 4",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5V3h7.5v7.5h-2.5M3 5.5h7.5V13H3V5.5Z",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4.5L11.5 9M9 11.5 7.5 13A3 3 0 0 1 3 8.5L4.5 7",
  check: "M3 8.5 6.5 12 13 4.5",
  note: "M4 14V2.5h8l-2 3 2 3H4",
  warn: "M8 2.5 14.5 13.5h-13L8 2.5ZM8 6.5v3M8 11.6v.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
