package registry

import (
	"context"
	"sync"
)

// parallel runs do for every item, jobs at a time, in order. The first error ends the context of the others and is returned when all
// have come back; the end of ctx is returned as its cause.
func parallel[T any](ctx context.Context, jobs int, items []T, do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	slots := make(chan struct{}, jobs)
	var wg sync.WaitGroup
	for _, item := range items {
		slots <- struct{}{} // soon given back also when ctx ends: everybody watches it
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, item); err != nil {
				stop(err) // the first one stays the cause
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
