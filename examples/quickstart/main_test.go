package main

func Example() {
	main()
	// Output:
	// created jane <jane@example.com>, approved: true
	// renamed to janet
	// found janet <jane@example.com>
	// deleted
}
