package main

func Example() {
	main()
	// Output: created jane <jane@example.com>, approved: true
}
