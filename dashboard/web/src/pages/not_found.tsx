import { link } from "../app/session.ts";
import { Empty } from "../ui/states.tsx";

export function NotFound() {
  return (
    <Empty isPage title="There is no such page">
      <p>The address may be from another version of loopd. <a href={link("/")}>Go to the overview</a>.</p>
    </Empty>
  );
}
