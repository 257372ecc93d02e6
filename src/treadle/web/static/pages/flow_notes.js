// Buttons on the pages of the notes; each page shows anew what it changed.

import { callingButtons } from "../treadle.js";

callingButtons(() => location.reload());
