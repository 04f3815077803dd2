"""The SDK's objects, and the HTTP client beneath them. Light imports: `import turnout` is free."""
