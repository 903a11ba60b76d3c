// Package webhook restarts an admission webhook of controller-runtime under
// client-go's transport, as kube-apiserver would call it. It is a module of its own,
// so that nobody who uses politeclose pays for Kubernetes, and its tests have the
// build tag full, because compiling that takes minutes.
package webhook
