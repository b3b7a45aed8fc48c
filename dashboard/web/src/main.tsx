//! Starts the page: theme first, so that nothing flashes; then the address, the live stream and the first requests.

import { render } from "preact";
import { connectLive } from "./api/live.ts";
import { App } from "./app/frame.tsx";
import { startRouter } from "./app/router.ts";
import { startSession } from "./app/session.ts";
import { startTheme } from "./app/theme.ts";
import "./style/tokens.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/pages.css";
import "./style/timeline.css";
import "./style/lanes.css";
import "./style/flame.css";
import "./style/forced.css";
import "./style/task.css";

startTheme();
startRouter();
connectLive();
startSession();
render(<App />, document.getElementById("app")!);
