// A style sheet is imported for its effect on the bundle.
declare module '*.css';
