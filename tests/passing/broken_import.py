raise RuntimeError("This module fails when it is imported, as a broken plug-in would.")
