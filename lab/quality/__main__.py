from lab.quality.bench import main

main()
