package core

import "log/slog"

// Logger returns the logger of the option of that name, for servers that have
// something to say.
func (c *Controller) Logger() *slog.Logger { return c.logger }
