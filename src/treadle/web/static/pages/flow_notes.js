// Buttons on the pages of the notes; each page shows anew what it changed.

import { callingButtons } from "./parts.js";

callingButtons(() => location.reload());
